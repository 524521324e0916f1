"""Standard slippage models."""
