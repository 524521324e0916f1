"""Cash, positions and profit and loss."""
