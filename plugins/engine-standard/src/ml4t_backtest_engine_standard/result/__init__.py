"""What a run leaves behind: diary, frames, fingerprints."""
