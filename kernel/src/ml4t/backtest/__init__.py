"""Event-driven backtesting in which no component can see what is not yet known.

Names are imported at first use, so that ``import ml4t.backtest`` loads the standard library only.
The module can be called: ``ml4t.backtest(seed=42)`` is ``Engine(seed=42)`` (type checkers do not
follow a module that is called; typed code writes the latter).
"""

import importlib
import sys
from types import ModuleType

_NAMES_OF = {
    "core.bus": "EventBus",
    "core.clock": "Clock",
    "core.event": "BarEvent CorporateActionEvent Event EventType FillEvent MarketEvent OrderEvent"
    " QuoteEvent SessionEvent SignalEvent TimerEvent TradeEvent",
    "errors": "BacktestError DataError InputError LookAheadError OrderError PluginError RunError"
    " RunFileError RunInterrupted SnapshotError UnknownComponent",
    "interfaces": "Bracket Broker Calendar CommissionModel Context DataFeed FillModel Market MarketImpactModel Order"
    " Portfolio PortfolioView Position Reporter Result RiskManager Session Setup SignalBatch SignalSource SlippageModel"
    " Strategy",
}
_HOME = {name: module for module, names in _NAMES_OF.items() for name in names.split()}

__all__ = sorted([*_HOME, "Engine", "__version__"])


class _CallableModule(ModuleType):
    """This module, callable as the architecture document spells it."""

    def __call__(self, **settings: object) -> object:
        """Return ``Engine(**settings)``."""
        return self.Engine(**settings)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("ml4t-backtest-kernel")
    if name == "Engine":
        from ml4t.backtest.plugins import find_standard

        value = find_standard("engine").load()
    elif name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


sys.modules[__name__].__class__ = _CallableModule
