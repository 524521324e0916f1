"""Match orders against released market data."""
