"""Event-driven backtesting in which no component can see what is not yet known."""
