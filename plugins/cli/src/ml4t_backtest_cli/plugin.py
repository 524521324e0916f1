"""Say that the command is there; its own subcommands need no hook."""

from ml4t.backtest.hookspecs import Manifest

MANIFEST = Manifest(api=1, name="cli", summary="the command ml4t-backtest")
