"""Real daily prices for the demo."""
