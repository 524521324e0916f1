"""The contracts that plugins implement: abstract classes for lifecycles, protocols for one-method models."""

from ml4t.backtest.interfaces.broker import Broker
from ml4t.backtest.interfaces.calendar import Calendar
from ml4t.backtest.interfaces.context import Context, Market, PortfolioView, Position, Session, SignalBatch
from ml4t.backtest.interfaces.engine import Engine, RunFile
from ml4t.backtest.interfaces.feed import Batch, DataFeed, ModelSource, SignalSource, Source, SourceSpec, Window
from ml4t.backtest.interfaces.gate import (
    Arrangement,
    CheckedSource,
    FeedConfig,
    Gate,
    OpenRows,
    SignalConfig,
    SourceConfig,
)
from ml4t.backtest.interfaces.models import (
    CommissionModel,
    ExecutionModel,
    ExecutionModels,
    FillModel,
    FillRules,
    MarketImpactModel,
    SlippageModel,
)
from ml4t.backtest.interfaces.orders import Bracket, Leg, Order, OrderTerms
from ml4t.backtest.interfaces.portfolio import Portfolio
from ml4t.backtest.interfaces.reporter import Progress, Reporter
from ml4t.backtest.interfaces.result import Result
from ml4t.backtest.interfaces.risk import RiskManager
from ml4t.backtest.interfaces.setup import Setup
from ml4t.backtest.interfaces.strategy import Strategy
from ml4t.backtest.interfaces.tables import Action, TableSource

__all__ = [
    "Action", "Arrangement", "Batch", "Bracket", "Broker", "Calendar", "CheckedSource", "CommissionModel", "Context",
    "DataFeed", "Engine", "ExecutionModel", "ExecutionModels", "FeedConfig", "FillModel", "FillRules", "Gate", "Leg",
    "Market", "MarketImpactModel", "ModelSource", "OpenRows", "Order", "OrderTerms", "Portfolio", "PortfolioView",
    "Position", "Progress", "Reporter", "Result", "RiskManager", "RunFile", "Session", "Setup", "SignalBatch",
    "SignalConfig", "SignalSource", "SlippageModel", "Source", "SourceConfig", "SourceSpec", "Strategy", "TableSource",
    "Window",
]  # fmt: skip
