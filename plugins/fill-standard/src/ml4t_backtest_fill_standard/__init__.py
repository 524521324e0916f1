"""Standard fill price models."""
