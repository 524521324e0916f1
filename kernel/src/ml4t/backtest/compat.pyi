"""What type checkers see behind the door: the one file that may name other distributions."""

from typing import Any

from ml4t_backtest_compat_backtrader import (  # type: ignore[import-not-found,unused-ignore]  # optional distribution
    BacktraderStrategy as BacktraderStrategy,  # pyright: ignore[reportMissingImports]
)
from ml4t_backtest_compat_zipline import (  # type: ignore[import-not-found,unused-ignore]  # optional distribution
    ZiplineAlgorithm as ZiplineAlgorithm,  # pyright: ignore[reportMissingImports]
)

def __getattr__(name: str) -> Any: ...  # other distributions may offer any class
