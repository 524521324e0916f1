"""Read tables beside the market data, such as corporate actions and dated rates."""
