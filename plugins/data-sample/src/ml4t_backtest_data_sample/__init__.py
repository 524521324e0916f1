"""Real daily prices of twenty US shares, 1990 to 2022, for the demo, tutorials and tests."""

from ml4t_backtest_data_sample.sample import prices, prices_path

__all__ = ["prices", "prices_path"]
