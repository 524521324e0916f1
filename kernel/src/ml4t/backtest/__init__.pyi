"""The public names, for type checkers; a test compares them with what ``__init__.py`` offers."""

from ml4t.backtest.core.bus import EventBus as EventBus
from ml4t.backtest.core.clock import Clock as Clock
from ml4t.backtest.core.event import BarEvent as BarEvent
from ml4t.backtest.core.event import CorporateActionEvent as CorporateActionEvent
from ml4t.backtest.core.event import Event as Event
from ml4t.backtest.core.event import EventType as EventType
from ml4t.backtest.core.event import FillEvent as FillEvent
from ml4t.backtest.core.event import MarketEvent as MarketEvent
from ml4t.backtest.core.event import OrderEvent as OrderEvent
from ml4t.backtest.core.event import QuoteEvent as QuoteEvent
from ml4t.backtest.core.event import SessionEvent as SessionEvent
from ml4t.backtest.core.event import SignalEvent as SignalEvent
from ml4t.backtest.core.event import TimerEvent as TimerEvent
from ml4t.backtest.core.event import TradeEvent as TradeEvent
from ml4t.backtest.errors import BacktestError as BacktestError
from ml4t.backtest.errors import DataError as DataError
from ml4t.backtest.errors import InputError as InputError
from ml4t.backtest.errors import LookAheadError as LookAheadError
from ml4t.backtest.errors import OrderError as OrderError
from ml4t.backtest.errors import PluginError as PluginError
from ml4t.backtest.errors import RunError as RunError
from ml4t.backtest.errors import RunFileError as RunFileError
from ml4t.backtest.errors import RunInterrupted as RunInterrupted
from ml4t.backtest.errors import SnapshotError as SnapshotError
from ml4t.backtest.errors import UnknownComponent as UnknownComponent
from ml4t.backtest.interfaces import Bracket as Bracket
from ml4t.backtest.interfaces import Broker as Broker
from ml4t.backtest.interfaces import Calendar as Calendar
from ml4t.backtest.interfaces import CommissionModel as CommissionModel
from ml4t.backtest.interfaces import Context as Context
from ml4t.backtest.interfaces import DataFeed as DataFeed
from ml4t.backtest.interfaces import FillModel as FillModel
from ml4t.backtest.interfaces import Market as Market
from ml4t.backtest.interfaces import MarketImpactModel as MarketImpactModel
from ml4t.backtest.interfaces import Order as Order
from ml4t.backtest.interfaces import Portfolio as Portfolio
from ml4t.backtest.interfaces import PortfolioView as PortfolioView
from ml4t.backtest.interfaces import Position as Position
from ml4t.backtest.interfaces import Reporter as Reporter
from ml4t.backtest.interfaces import Result as Result
from ml4t.backtest.interfaces import RiskManager as RiskManager
from ml4t.backtest.interfaces import Session as Session
from ml4t.backtest.interfaces import Setup as Setup
from ml4t.backtest.interfaces import SignalBatch as SignalBatch
from ml4t.backtest.interfaces import SignalSource as SignalSource
from ml4t.backtest.interfaces import SlippageModel as SlippageModel
from ml4t.backtest.interfaces import Strategy as Strategy
from ml4t_backtest_engine_standard.engine import (  # type: ignore[import-not-found,unused-ignore]  # a plugin
    Engine as Engine,  # pyright: ignore[reportMissingImports]
)

__version__: str
