"""Standard market impact models."""
