"""Run backtests, instant by instant."""
