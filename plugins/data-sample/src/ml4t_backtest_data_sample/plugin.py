"""Say what this distribution offers."""

from ml4t.backtest.hookspecs import Manifest

MANIFEST = Manifest(api=1, name="data-sample", summary="real daily prices of twenty US shares, 1990 to 2022")
