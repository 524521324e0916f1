"""Standard commission models."""
