"""Conformance tests, fixtures and scenarios for the authors of plugins.

Names are imported at first use: pytest loads this package in every session, also of projects that test
something else.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml4t_backtest_testkit.benchmarking import Measurement, benchmark
    from ml4t_backtest_testkit.conformance.brokers import BrokerConformance
    from ml4t_backtest_testkit.conformance.calendars import CalendarConformance
    from ml4t_backtest_testkit.conformance.models import CostConformance, FillModelConformance
    from ml4t_backtest_testkit.conformance.plugins import PluginConformance
    from ml4t_backtest_testkit.conformance.portfolios import PortfolioConformance
    from ml4t_backtest_testkit.conformance.reporters import ReporterConformance
    from ml4t_backtest_testkit.conformance.risks import RiskConformance
    from ml4t_backtest_testkit.conformance.rules import Conformance
    from ml4t_backtest_testkit.conformance.sources import FeedConformance, SignalConformance
    from ml4t_backtest_testkit.conformance.strategies import StrategyConformance
    from ml4t_backtest_testkit.conformance.tables import TableConformance
    from ml4t_backtest_testkit.market import random_market
    from ml4t_backtest_testkit.setups import make_setup

__all__ = [
    "BrokerConformance",
    "CalendarConformance",
    "Conformance",
    "CostConformance",
    "FeedConformance",
    "FillModelConformance",
    "Measurement",
    "PluginConformance",
    "PortfolioConformance",
    "ReporterConformance",
    "RiskConformance",
    "SignalConformance",
    "StrategyConformance",
    "TableConformance",
    "benchmark",
    "make_setup",
    "random_market",
]

_NAMES_OF = {
    "benchmarking": "Measurement benchmark",
    "conformance.brokers": "BrokerConformance",
    "conformance.calendars": "CalendarConformance",
    "conformance.models": "CostConformance FillModelConformance",
    "conformance.plugins": "PluginConformance",
    "conformance.portfolios": "PortfolioConformance",
    "conformance.reporters": "ReporterConformance",
    "conformance.risks": "RiskConformance",
    "conformance.rules": "Conformance",
    "conformance.sources": "FeedConformance SignalConformance",
    "conformance.strategies": "StrategyConformance",
    "conformance.tables": "TableConformance",
    "market": "random_market",
    "setups": "make_setup",
}
_HOME = {name: module for module, names in _NAMES_OF.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
