"""The ml4t-backtest command."""
