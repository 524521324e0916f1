"""Nothing that a strategy is given leads to anything of the future.

Sentinels are planted in every row: numbers, stamps, names. A walk from all that the engine hands over, and
from the strategy's attributes, in every callback, must not meet one that is not known yet; and it must meet
each leak that the second half of this file plants.
"""

import array
import functools
import gc
import mmap
import struct
import sys
import types
import weakref
from collections import deque
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.core import pit
from ml4t.backtest.core.sessions import NO_BREAK, SESSION_DTYPE
from ml4t.backtest.interfaces import Calendar
from ml4t.backtest.interfaces.orders import Order
from ml4t_backtest_engine_standard.context import tables as facts_room

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What a compiled function refers to is the compiler, and classes of libraries belong to their modules.
COMPILERS = {"numba", "llvmlite"}
LIBRARIES = {*sys.stdlib_module_names, "numpy", "polars", "pyarrow", "structlog"}


def ns(moment):
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


class Secrets:
    """Sentinels, and from when on each may be known."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.words, self.names, self.dates = {}, {}, {}

    def numbers(self, low, high, known_at):
        """Return a distinct float64 between low and high for each row."""
        values = self.rng.uniform(low, high, len(known_at))
        self.words.update(zip(values.view(np.uint64).tolist(), known_at, strict=True))
        return values

    def stamps(self, instants, known_at):
        """Make stamps (ns) secrets, also in microseconds."""
        for instant, known in zip(instants, known_at, strict=True):
            self.words[instant] = self.words[instant // 1000] = known

    def freeze(self):
        """Sort what is searched for."""
        words = np.array(sorted(self.words), np.uint64)
        self._words, self._known = words, np.array([self.words[word] for word in words.tolist()])
        self._heads = np.zeros(1 << 16, bool)
        self._heads[(words >> np.uint64(48)).astype(int)] = True
        return self

    def in_word(self, word, now):
        return self.words.get(word, 0) > now

    def in_text(self, text, now):
        return any(known > now and name in text for name, known in self.names.items())

    def in_bytes(self, data, now):
        """Look at each offset for a number or stamp, and for names in UTF-8 and UTF-32."""
        for shift in range(min(8, len(data))):
            words = np.frombuffer(data, np.uint64, (len(data) - shift) // 8, shift)
            words = words[self._heads[(words >> np.uint64(48)).astype(int)]]
            places = np.minimum(np.searchsorted(self._words, words), len(self._words) - 1)
            if ((self._words[places] == words) & (self._known[places] > now)).any():
                return True
        later = [name for name, known in self.names.items() if known > now]
        return any(name.encode(code) in data for name in later for code in ("utf-8", "utf-32-le"))


def _root(kind):
    return str(kind.__module__).partition(".")[0]


class Walk:
    """Everything reachable from some roots, looked at once."""

    def __init__(self, secrets, now):
        self.secrets, self.now, self.found, self.steps = secrets, now, [], 0
        self._modules = {
            id(vars(module)) for module in list(sys.modules.values()) if isinstance(module, types.ModuleType)
        }

    def go(self, **roots):
        waiting = deque((value, name) for name, value in roots.items())
        seen, kept, memory = set(), [], set()
        while waiting:
            value, path = waiting.popleft()
            if id(value) in seen or id(value) in self._modules:
                continue
            if isinstance(value, types.ModuleType | types.FrameType | types.TracebackType | types.CodeType):
                continue
            if _root(type(value)) in COMPILERS or (isinstance(value, type) and _root(value) in LIBRARIES):
                continue
            seen.add(id(value))
            kept.append(value)  # so that no id is used again
            self.steps += 1
            if self._tells(value, memory):
                self.found.append(f"{path}: {type(value).__name__}")
            waiting.extend((child, self._label(path, value)) for child in self._children(value))
        return self

    @staticmethod
    def _label(path, value):
        return f"{path} > {type(value).__name__}" if len(path) < 300 else path

    def _tells(self, value, memory):
        secrets, now = self.secrets, self.now
        if isinstance(value, str):
            return secrets.in_text(value, now)
        if isinstance(value, bool):
            return False
        if isinstance(value, int):
            return secrets.in_word(value, now)
        if isinstance(value, float):
            return secrets.in_word(struct.unpack("<Q", struct.pack("<d", value))[0], now)
        if isinstance(value, datetime):
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            return secrets.in_word(ns(moment) // 1000, now)
        if isinstance(value, date):
            return secrets.dates.get(value, 0) > now
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            key = (value.__array_interface__["data"][0], value.nbytes, value.strides)
            if key in memory:
                return False
            memory.add(key)
            return secrets.in_bytes(value.tobytes(), now)
        if isinstance(value, np.generic):  # bytes() of a whole number are so many zeros
            return secrets.in_bytes(value.tobytes(), now)
        if isinstance(value, bytes | bytearray | memoryview | array.array | mmap.mmap | pa.Buffer):
            return secrets.in_bytes(bytes(value), now)
        return False

    @staticmethod
    def _children(value):
        children = gc.get_referents(value)
        if isinstance(value, types.FunctionType):
            return [child for child in children if child is not value.__globals__]
        if isinstance(value, dict):
            children += value  # the collector does not visit keys that are text
        elif isinstance(value, np.ndarray):
            objects = value.ravel().tolist() if value.dtype.hasobject else ()
            children += [value.base, *objects]
        elif isinstance(value, memoryview):
            children.append(value.obj)
        elif isinstance(value, weakref.ref):
            children.append(value())
        elif isinstance(value, pl.LazyFrame):
            children.append(value.collect())
        elif isinstance(value, pl.DataFrame):
            children += [value.columns, *value.get_columns()]
        elif isinstance(value, pl.Series):
            children += [value.to_arrow(), value.cast(pl.String).to_list() if value.dtype == pl.Categorical else None]
        elif isinstance(value, pa.Table | pa.RecordBatch | pa.ChunkedArray):
            children += [value.schema.names] if hasattr(value, "schema") else []
            children += value.chunks if isinstance(value, pa.ChunkedArray) else value.columns
        elif isinstance(value, pa.Array):
            children += [*value.buffers(), value.dictionary if isinstance(value, pa.DictionaryArray) else None]
        elif isinstance(value, pa.Buffer):
            children.append(value.parent)
        return children


# --- the watched strategies ---------------------------------------------------------------------------

# What the walk needs to know must not hang on the strategy, which is where it begins.
WATCH = {"secrets": None, "found": [], "calls": {}, "looks": {}, "steps": 0}


@pytest.fixture
def watch(monkeypatch):
    """Empty lists of findings, and secrets to be set; blocks so small that they are rolled."""
    monkeypatch.setattr(pit, "_SMALLEST_BLOCK", 64)
    WATCH.update(secrets=None, found=[], calls={}, looks={}, steps=0)
    return WATCH


def look(callback, strategy, *arguments):
    now = arguments[-1].now_ns
    WATCH["calls"][callback] = WATCH["calls"].get(callback, 0) + 1
    WATCH["looks"][callback, now] = WATCH["looks"].get((callback, now), 0) + 1
    if WATCH["looks"][callback, now] > 2:
        return  # many orders of one instant are refused at once
    walk = Walk(WATCH["secrets"], now).go(strategy=strategy, arguments=arguments)
    WATCH["found"] += [f"{callback} at {now}: {finding}" for finding in walk.found]
    WATCH["steps"] += walk.steps


def watched(*callbacks):
    """Return a strategy class with these callbacks, which keeps all that it is given and asks for more."""

    def made(name):
        def callback(self, *arguments):
            self.use(name, *arguments)
            look(name, self, *arguments)

        return callback

    return type("Watched", (Keeper,), {name: made(name) for name in callbacks})


HANDLE = [name for name in dir(Order) if not name.startswith("_")]


class Keeper(Strategy):
    """Keep windows, slices, events, fills and handles; order now and then."""

    def __init__(self):
        self.kept = []

    def on_start(self, context):
        feeds = list(context._released)
        for feed in feeds:
            context.subscribe(feed, history=4)
        context.schedule(self.scheduled, "weekly", at="close")
        context.schedule(self.scheduled, "daily", at="open+5m")
        look("on_start", self, context)

    def scheduled(self, context):
        self.use("scheduled", context)
        look("scheduled", self, context)

    def use(self, name, *arguments):
        context = arguments[-1]
        self.kept.append((name, arguments[:-1]))
        for feed, released in context._released.items():
            field = released.spec.fields[-1]
            self.kept.append([context.history(field, 4, feed=feed), context.window(feed)])
            if released.spec.kind == "signal":
                self.kept += [context.signal(field), context.signal_updated(field), context.signal_age(field)]
        if name == "on_slice":
            market = arguments[0]
            self.kept += [market.close, market.updated, market.feed("prices").close]
        for table, facts in context._facts.items():
            self.kept += [context.asof(table, field) for field in facts.kinds]
            self.kept += [context.window(table), context.window(table, versions="all")]
        self.kept += [context.portfolio.positions, context.session, context.universe, context.price()]
        self.kept = self.kept[-40:]
        symbols = context.symbols
        if symbols and name in ("on_slice", "on_event", "on_signal", "scheduled"):
            turn = len(self.kept) + context.now_ns // 60_000_000_000
            self.kept.append(context.order(symbols[turn % len(symbols)], 1.0 + turn % 3, tag="t"))
            if turn % 5 == 0:
                context.order_target_weights(np.full(len(symbols), 0.1 * (turn % 2)))
                context.cancel_all()
            if turn % 4 == 0:
                self.kept += [self.family(symbols[turn % len(symbols)], context)]
        orders = context.open_orders()
        self.kept.append([[getattr(each, name) for name in HANDLE] for each in orders[-6:]])

    def family(self, symbol, context):
        """Orders that rest at the venue and act within a bar: what they did shows in handles alone."""
        legs = ({"limit_price": 99.0}, {"trail_percent": 0.01}, {"stop_price": 101.0, "limit_price": 101.5})
        return [
            context.bracket(symbol, 2.0, target_price=100.5, trail_amount=0.5),
            context.bracket(symbol, -2.0, entry_limit=100.5, stop_price=102.0, time_in_force="DAY"),
            context.oco(*({"symbol": symbol, "quantity": 1.0, **leg} for leg in legs)),
        ]


EVERY = (
    "before_trading_start",
    "on_slice",
    "on_event",
    "on_signal",
    "on_fill",
    "on_order",
    "on_symbols",
    "after_trading_end",
    "on_end",
)


class Weekdays(Calendar):
    """Monday to Friday in New York; a Saturday's row waits for the end of that day."""

    name, timezone = "WEEKDAYS", "America/New_York"

    def sessions(self, start, end):
        days = [date(2024, 1, 1) + timedelta(days=n) for n in range(120)]
        opens = [datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC) for day in days]
        rows = [
            ((day - date(1970, 1, 1)).days, ns(at), ns(at) + 6 * 3600 * 10**9, NO_BREAK, NO_BREAK)
            for day, at in zip(days, opens, strict=True)
            if day.weekday() < 5
        ]
        return np.array(rows, SESSION_DTYPE)


def bars(secrets, rows, known_at):
    """Bars of (stamp, symbol) rows, each number a secret until it is known."""
    for (_, symbol), known in zip(rows, known_at, strict=True):
        secrets.names[symbol] = min(secrets.names.get(symbol, known), known)
    limits = {"open": (98, 102), "high": (103, 104), "low": (96, 97), "close": (98, 102), "volume": (1e6, 2e6)}
    return pl.DataFrame({"timestamp": [row[0] for row in rows], "symbol": [row[1] for row in rows]}).with_columns(
        **{name: pl.Series(secrets.numbers(low, high, known_at)) for name, (low, high) in limits.items()}
    )


def listed(place):
    """Symbols there are at a place in time: one more every four steps."""
    return [f"LISTED{number}Q" for number in range(1 + min(place // 4, 3))][::-1]


def daily(seed=1, days=13):
    """Daily bars of a growing cross-section, and signals with a latency; both with rows on Saturdays."""
    secrets = Secrets(seed)
    labels = [day for n in range(days) if (day := date(2024, 1, 2) + timedelta(days=n)).weekday() != 6]
    rows = [(day, symbol) for place, day in enumerate(labels) for symbol in listed(place)]

    def known(day):
        if day.weekday() == 5:
            return ns(datetime(day.year, day.month, day.day, 5, tzinfo=UTC) + timedelta(days=1))
        return ns(datetime(day.year, day.month, day.day, 20, 30, tzinfo=UTC))

    prices = bars(secrets, rows, [known(row[0]) for row in rows])
    # A session's label and close are the calendar's, and known; those of a Saturday are of the rows alone.
    secrets.dates = {day: known(day) for day in labels if day.weekday() == 5}
    weekend = list(secrets.dates.values())
    secrets.stamps(weekend, weekend)
    times = [known(row[0]) + 12_345_678_901_000 + place * 1000 for place, row in enumerate(rows)]
    scores = pl.DataFrame(
        {
            "event_time": pl.Series(times).cast(pl.Datetime("ns", "UTC")),
            "symbol": [row[1] for row in rows],
            "score": secrets.numbers(110, 120, [time + 90 * 10**9 for time in times]),
        }
    )
    secrets.stamps(times, [time + 90 * 10**9 for time in times])
    return secrets.freeze(), prices, scores


def minutes(seed=2, count=40, symbols=lambda place: ["ONLY1Q"]):
    """Minute bars at odd nanoseconds, stamped at their end."""
    secrets = Secrets(seed)
    first = ns(datetime(2024, 1, 2, 14, 31, tzinfo=UTC)) + 7_007
    rows = [(first + place * 60 * 10**9, symbol) for place in range(count) for symbol in symbols(place)]
    stamps = [row[0] for row in rows]
    frame = bars(secrets, rows, stamps)
    secrets.stamps(stamps, stamps)
    frame = frame.with_columns(pl.col("timestamp").cast(pl.Datetime("ns", "UTC")))
    return secrets.freeze(), frame


def eventful(seed=3):
    """Daily bars with actions whose figures, dates and names are secrets until they are known."""
    secrets, prices, scores = daily(seed)
    (change, split, gone, spin), names = (date(2024, 1, day) for day in (9, 10, 11, 12)), ("LISTED0Q", "RENAMED0Q")
    opens = {day: ns(datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)) for day in (change, split, gone, spin)}
    renamed = (pl.col("symbol") == names[0]) & (pl.col("timestamp") >= change)
    prices = prices.with_columns(symbol=pl.when(renamed).then(pl.lit(names[1])).otherwise("symbol"))
    known = [ns(datetime(2024, 1, day, 18, tzinfo=UTC)) + day * 1_001 for day in (4, 5, 8, 9)]
    secrets.stamps(known, known)
    secrets.dates |= dict(zip((change, split, gone, spin), known, strict=True))
    secrets.names |= {names[1]: opens[change], "SPUNOFFQ": opens[spin]}
    actions = pl.DataFrame(
        {
            "symbol": [names[0], "LISTED0Q", "LISTED1Q", "LISTED2Q"],
            "kind": ["symbol-change", "split", "delisting", "spin-off"],
            "ex_date": [change, split, gone, spin],
            "known_at": pl.Series(known).cast(pl.Datetime("ns", "UTC")),
            "ratio": [None, *secrets.numbers(1.5, 2.5, known[1:2]), None, *secrets.numbers(0.1, 0.2, known[3:])],
            "value": [None, None, *secrets.numbers(50, 60, known[2:])],
            "new_symbol": [names[1], None, None, "SPUNOFFQ"],
        }
    ).with_columns(symbol=pl.when(pl.col("kind") == "split").then(pl.lit(names[1])).otherwise("symbol"))
    return secrets.freeze(), prices, scores, actions


def charged(seed=4):
    """Daily bars and an account whose rates are secrets until they are known."""
    secrets, prices, scores = daily(seed)
    days = (4, 5, 8, 9, 10, 11, 12)
    account = {"capital": {"USD": 1e6}, "borrow_missing": "allow"}
    for place, (key, columns) in enumerate(
        {"borrow": ["rate"], "funding": ["rate"], "interest": ["debit", "credit"]}.items()
    ):
        known = [ns(datetime(2024, 1, day, 18, place, tzinfo=UTC)) + day * 1_001 for day in days]
        secrets.stamps(known, known)
        rows = {"symbol": ["USD" if key == "interest" else "LISTED0Q"] * len(known)}
        rows |= {"timestamp": pl.Series(known).cast(pl.Datetime("ns", "UTC"))}
        rows |= {column: secrets.numbers(0.01, 0.02, known) for column in columns}
        account[key] = pl.DataFrame(rows)
    return secrets.freeze(), prices, scores, account


def informed(seed=5):
    """Daily bars, and tables whose figures, dates, texts, companies and stamps are secrets until they are known."""
    secrets, prices, scores = daily(seed)
    rows = [(day, who) for day in (3, 4, 5, 8, 9, 10, 11) for who in ("LISTED0Q", "LISTED1Q", f"PRIVATE{day}Q")]
    known = [ns(datetime(2024, 1, day, 18, 30, tzinfo=UTC)) + place * 1_003 for place, (day, _) in enumerate(rows)]
    happened = [instant - 7 * 86_400 * 10**9 - 501 for instant in known]
    secrets.stamps(known, known)
    secrets.stamps(happened, known)
    texts = [f"TEXT{place}Q" for place in range(len(rows))]
    secrets.names |= dict(zip(texts, known, strict=True))
    for (_, who), instant in zip(rows, known, strict=True):  # a table may name what no feed has named yet
        secrets.names[who] = min(secrets.names.get(who, instant), instant)
    moments = [ns(datetime(2030, 1, 1, tzinfo=UTC)) + place * 1_000_003 for place in range(len(rows))]
    secrets.stamps(moments, known)
    facts = pl.DataFrame(
        {
            "symbol": [who for _, who in rows],
            "event_time": pl.Series(happened).cast(pl.Datetime("ns", "UTC")),
            "known_at": pl.Series(known).cast(pl.Datetime("ns", "UTC")),
            "figure": secrets.numbers(7.0, 9.0, known),
            "moment": pl.Series(moments).cast(pl.Datetime("ns", "UTC")),
            "text": texts,
        }
    )
    edges = [ns(datetime(2024, 1, day, 17, tzinfo=UTC)) + day * 2_003 for day in (4, 8, 9, 11)]
    secrets.stamps(edges, edges)
    begins, ends = (pl.Series(each).cast(pl.Datetime("ns", "UTC")) for each in (edges[:2], edges[2:]))
    members = pl.DataFrame({"symbol": ["LISTED0Q", "LISTED1Q"], "from": begins, "to": ends})
    return secrets.freeze(), prices, scores, facts, members


def engine_of(
    strategy, prices, signals=None, *, batch=0, valid_for=None, actions=None, account=None, tables=None, universe=None,
    model=None, **feed,
):  # fmt: skip
    table = {"use": "frame", "name": "prices", "frame": prices, "batch_rows": batch, **feed}
    settings = {}
    if signals is not None:
        settings["signal"] = {"use": "frame", "name": "scores", "frame": signals, "latency": "90s", "batch_rows": batch}
        settings["signal"] |= {"valid_for": valid_for} if valid_for else {}
    if model is not None:
        settings["signal"] = model
    names = prices["symbol"].unique().to_list()
    return Engine(
        feed=table,
        actions=actions,
        tables=tables,
        universe=universe,
        strategy=strategy,
        instruments=[{"symbol": name, "lot": 0.5} for name in names],
        clock={"calendar": Weekdays()} if feed["bar"] == "1d" else None,
        **({"capital": 1e6} if account is None else {"account": account}),
        **settings,
    )


def drive(engine, by_steps):
    if by_steps:
        for _ in engine.steps():
            pass
        return engine.result
    return engine.run()


def clean(watch, *callbacks):
    assert [] == watch["found"][:5]
    assert set(callbacks) <= watch["calls"].keys(), watch["calls"]
    assert watch["steps"] > 1000 * len(watch["looks"]), "the walk came nowhere"


@pytest.mark.parametrize(("batch", "valid_for"), [(0, None), (0, "3d"), (1, "3d"), (7, None)])
def test_a_cross_section_shows_no_future(watch, batch, valid_for):
    """Daily bars, signals with latency and symbols that come later, in every callback."""
    watch["secrets"], prices, scores = daily()
    result = engine_of(watched(*EVERY)(), prices, scores, batch=batch, valid_for=valid_for, bar="1d").run()
    assert result.fills.height > 5
    clean(watch, "on_start", "scheduled", *EVERY[:5], *EVERY[6:])


@pytest.mark.parametrize("batch", [0, 7])
@pytest.mark.parametrize("by_steps", [False, True])
def test_actions_show_no_future(watch, batch, by_steps):
    """Figures, dates, new names and columns of corporate actions, announced days before they take effect."""
    watch["secrets"], prices, scores, actions = eventful()
    strategy = watched(*EVERY)()
    engine = engine_of(strategy, prices, scores, batch=batch, bar="1d", actions=actions)
    drive(engine, by_steps)
    names = set(engine.result.state.symbols.names)
    assert {"RENAMED0Q", "SPUNOFFQ", "LISTED1Q", "LISTED1Q (2024-01-10)"} < names
    clean(watch, "on_start", "scheduled", *EVERY[:5], *EVERY[6:])


@pytest.mark.parametrize("books", [1, 2])
def test_dated_rates_show_no_future(watch, books):
    """What borrow, funding and interest will cost, for one strategy and for two on one account."""
    watch["secrets"], prices, scores, account = charged()
    kind = watched(*EVERY)
    strategies = [{"use": kind(), "book": str(place), "share": 1 / books} for place in range(books)]
    engine = engine_of(strategies if books > 1 else strategies[0]["use"], prices, scores, bar="1d", account=account)
    result = engine.run()
    assert {"funding", "interest"} <= set(result.ledger["kind"])
    clean(watch, "on_start", "scheduled", *EVERY[:5], *EVERY[6:])


@pytest.mark.parametrize("batch", [0, 7])
@pytest.mark.parametrize("by_steps", [False, True])
def test_tables_show_no_future(watch, monkeypatch, batch, by_steps):
    """Figures, stamps, texts and companies of tables, and who will be a member of the universe."""
    monkeypatch.setattr(facts_room, "_SMALLEST", 2)
    watch["secrets"], prices, scores, facts, members = informed()
    tables = {"facts": {"frame": facts, "wakes": True}, "market": facts.drop("symbol")}
    strategy = watched(*EVERY)()
    engine = engine_of(strategy, prices, scores, batch=batch, bar="1d", tables=tables, universe=members)
    drive(engine, by_steps)
    clean(watch, "on_start", "scheduled", *EVERY[:5], *EVERY[6:])


@pytest.mark.parametrize("batch", [0, 1, 7])
@pytest.mark.parametrize("by_steps", [False, True])
def test_one_symbol_row_by_row_shows_no_future(watch, batch, by_steps):
    """The stretches of idle instants, whose events are made in advance, are no exception."""
    watch["secrets"], prices = minutes()
    strategy = watched("on_event", "on_fill", "after_trading_end")()
    drive(engine_of(strategy, prices, batch=batch, bar="1m", stamp="close"), by_steps)
    clean(watch, "on_start", "on_event", "on_fill", "after_trading_end")


class Answers:
    """A model whose every answer is a secret until it is known, and which looks at what it is given."""

    def __init__(self, secrets, latency):
        self.secrets, self.latency = secrets, latency

    def __call__(self, features, view):
        look("model", None, features, view, view.history("close", 3), view.window("prices"), view.universe, view)
        known_at = [view.now_ns + self.latency] * len(view.symbols)
        values = self.secrets.numbers(130, 140, known_at)
        self.secrets.freeze()
        return values


def asked(strategy, prices, secrets, every="slice"):
    """Return an engine with a model that answers 90 seconds later."""
    feature = {"field": "close", "history": 3, "transform": "mean"}
    answers = Answers(secrets, 90 * 10**9)
    table = {"use": "model", "model": answers, "latency": "90s", "features": [feature], "every": every, "history": 3}
    return engine_of(strategy, prices, bar="1d", model=table)


@pytest.mark.parametrize("every", ["slice", "session"])
@pytest.mark.parametrize("by_steps", [False, True])
def test_models_show_no_future(watch, every, by_steps):
    """Neither does the model see what is to come, nor anybody its answer before it is known."""
    watch["secrets"], prices, _ = daily()
    engine = asked(watched(*EVERY)(), prices, watch["secrets"], every)
    drive(engine, by_steps)
    assert engine.result.signals.height > 10
    clean(watch, "model", "on_start", "scheduled", *EVERY[:5], *EVERY[6:])


def test_an_answer_within_reach_before_it_is_known_is_found(watch):
    """The room in which answers wait hangs on the context."""
    watch["secrets"], prices, _ = daily()
    engine = asked(watched(*EVERY)(), prices, watch["secrets"])
    engine.prepare()
    instants = engine._running.instants
    instants.context.leak = instants.models
    engine.run()
    assert any("_Said" in finding for finding in watch["found"])


class Silent(Keeper):
    """Ask and order nothing for most of the time, so that stretches stay long."""

    def __init__(self):
        self.kept, self.turn = [], 0

    def on_event(self, event, context):
        self.turn += 1
        self.kept.append(event)
        if self.turn % 17 == 0:
            self.kept.append(context.history("close", 4))
        if self.turn % 41 == 0:
            self.kept.append(context.order(event.symbol, 1.0))
        look("on_event", self, event, context)

    def on_fill(self, fill, context):
        look("on_fill", self, fill, context)


@pytest.mark.parametrize("batch", [0, 7])
def test_long_idle_stretches_show_no_future(watch, batch):
    """Several symbols, one of them listed later, asked for seldom."""
    watch["secrets"], prices = minutes(count=90, symbols=lambda place: listed(place // 4))
    engine_of(Silent(), prices, batch=batch, bar="1m", stamp="close").run()
    clean(watch, "on_event", "on_fill")


def test_memory_used_before_shows_no_future(watch, monkeypatch):
    """Blocks of history are clean, though the memory they are in held the feed's columns a moment ago."""
    monkeypatch.undo()
    watch["secrets"], prices = minutes(count=40, symbols=lambda place: listed(place // 4))
    for _ in range(50):  # fill what the allocator will hand out next
        values = np.tile(prices["close"].to_numpy(), 4096 // len(prices) + 1)[:4096]
        blocks = [values.copy() for _ in range(40)] + [np.tile(values, (5, 1)), np.tile(values, (2, 1))]
        del blocks
    engine_of(Leaky(), prices, bar="1m", stamp="close").run()
    assert [] == watch["found"]


# --- planted leaks: the walk must be able to fail -------------------------------------------------------


def _closure(value):
    return lambda: value


def _default(value):
    def function(one=value):
        return one

    return function


def _generator(value):
    def rows():
        own = value
        yield 1
        yield own

    generator = rows()
    next(generator)
    return generator


class _Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


LEAKS = {
    "the feed's frame": lambda run: run["prices"],
    "a lazy query of it": lambda run: run["prices"].lazy().select("close"),
    "its first rows' memory": lambda run: run["prices"]["close"].to_numpy()[:1],
    "a column": lambda run: run["prices"]["close"],
    "stamps alone": lambda run: run["prices"]["timestamp"].to_list(),
    "names alone": lambda run: run["prices"]["symbol"].unique().to_list(),
    "names in an array": lambda run: run["prices"]["symbol"].to_numpy().astype("U12"),
    "names in a categorical": lambda run: run["prices"]["symbol"].cast(pl.Categorical),
    "a sliced Arrow array": lambda run: pa.array(run["closes"])[:1],
    "an Arrow buffer": lambda run: pa.py_buffer(run["closes"].tobytes()).slice(0, 8),
    "an Arrow table": lambda run: run["prices"].to_arrow(),
    "a view's base": lambda run: run["closes"][:1],
    "a view of a view": lambda run: run["closes"].reshape(2, -1)[:1, :1].T,
    "a memoryview": lambda run: memoryview(run["closes"])[:1],
    "bytes at an odd offset": lambda run: b"odd" + run["closes"].tobytes(),
    "an array of the standard library": lambda run: array.array("d", run["closes"]),
    "a structured array": lambda run: np.array(list(enumerate(run["closes"])), "i4,f8"),
    "an array of objects": lambda run: np.array([[run["closes"][-1].item()], None], object),
    "one number": lambda run: {"last": run["closes"][-1].item()},
    "one NumPy number": lambda run: run["closes"][-1],
    "a closure": lambda run: _closure(run["closes"]),
    "a default": lambda run: _default(run["closes"]),
    "a partial": lambda run: functools.partial(print, run["closes"]),
    "a generator": lambda run: _generator(run["closes"]),
    "an iterator": lambda run: iter(run["closes"].tolist()),
    "a weak reference": lambda run: weakref.ref(run["instants"].clock),
    "slots": lambda run: _Slotted(run["closes"]),
    "a class": lambda run: type("Holder", (), {"value": run["closes"]}),
    "a closure over the clock": lambda run: _closure(run["instants"].clock),
    "a bound method of a queue": lambda run: run["instants"].clock._queues[0].pull,
    "the loop": lambda run: run["instants"],
    "the source": lambda run: run["instants"].parts.sources[0],
    "its batches": lambda run: run["instants"].clock._queues[0]._batches,
    "the clock's names": lambda run: run["instants"].clock._names,
}


ACTION_LEAKS = {
    "the table of actions": lambda run: run["actions"],
    "the plan": lambda run: run["instants"].parts.actions,
    "one action of it": lambda run: run["instants"].parts.actions[-1],
    "the agenda": lambda run: run["instants"].agenda,
    "who has which ticker": lambda run: run["instants"].parts.tickers,
    "the columns to come": lambda run: run["instants"].columns,
    "the dates": lambda run: run["actions"]["ex_date"].to_list(),
    "the new names": lambda run: run["actions"]["new_symbol"].drop_nulls().to_list(),
}


TABLE_LEAKS = {
    "the frame": lambda run: run["facts"],
    "its texts": lambda run: run["facts"]["text"].to_list(),
    "its companies": lambda run: run["facts"]["symbol"].unique().to_list(),
    "all rows in order": lambda run: run["instants"].parts.facts,
    "one column of them": lambda run: run["instants"].parts.facts[0].fields["figure"].values[:1],
    "when they are known": lambda run: run["instants"].parts.facts[0].known_at[:1],
    "the room in which they wait": lambda run: run["instants"].tables,
    "when the next is due": lambda run: run["instants"].tables._queues[0]._table.known_at[-1].item(),
    "who will be in it": lambda run: run["instants"].tables._queues[0]._keys,
    "a released column that slices it": lambda run: run["instants"].tables._queues[0]._table.event_time[:2],
}


class Leaky(Strategy):
    """Look once, amid the run, at the context."""

    turn = 0

    def on_slice(self, market, context):
        self.turn += 1
        if self.turn == 5:
            look("on_slice", self, market, context)


def leaking(watch, plant):
    """Run with something planted on the context and return what the walk found."""
    watch["secrets"], prices = minutes(count=40, symbols=lambda place: listed(place // 4))
    engine = engine_of(Leaky(), prices, bar="1m", stamp="close")
    instants = engine._running.instants
    plant({"prices": prices, "closes": prices["close"].to_numpy().copy(), "instants": instants}, instants)
    engine.run()
    assert 1 == watch["calls"]["on_slice"]
    return watch["found"]


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_found(watch, leak):
    """Each way in which the future could hang on the context."""
    assert leaking(watch, lambda run, instants: setattr(instants.context, "leak", LEAKS[leak](run)))


def test_a_journal_that_keeps_later_signal_rows_is_found(watch):
    """Views of a chunk's columns, cut at the present, still hold the rest of the chunk."""

    def plant(run, instants):
        columns = (np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros(1, np.int64))
        instants.journal.signal_rows("scores", ("x",), *columns, run["closes"].reshape(1, -1)[:, :1])

    assert leaking(watch, plant)


def test_a_portfolio_that_knows_dated_rates_is_found(watch):
    """Strategies see a portfolio's figures, because the portfolio itself leads to rates of later days."""
    watch["secrets"], prices, scores, account = charged()
    engine = engine_of(Leaky(), prices, scores, bar="1d", account=account)
    instants = engine._running.instants
    instants.context.leak = instants.portfolio
    engine.run()
    assert watch["found"]


def test_rules_of_later_symbols_are_found(watch):
    """The instrument table may name what is still to come; the run's columns may not."""
    assert leaking(watch, lambda run, instants: setattr(instants.state, "rules", dict.fromkeys(listed(40), (1, 1, 1))))


def test_released_columns_that_slice_the_feed_are_found(watch):
    """History must be a copy: a slice of the chunk leads to the rest of it."""

    def plant(run, instants):
        released = instants.released[0]
        honest = released.release

        def release(rows, start, stop, full):
            honest(rows, start, stop, full)
            released._dense["close"] = rows.values[3, start:stop]

        released.release = release

    found = leaking(watch, plant)
    assert any("ndarray" in each for each in found)


def test_without_a_leak_nothing_is_found(watch):
    """The control of the tests above."""
    assert [] == leaking(watch, lambda run, instants: None)


@pytest.mark.parametrize("leak", ACTION_LEAKS)
def test_a_planted_action_is_found(watch, leak):
    """Each way in which an action that is not known yet could hang on the context."""
    watch["secrets"], prices, scores, actions = eventful()
    engine = engine_of(Leaky(), prices, scores, bar="1d", actions=actions)
    instants = engine._running.instants
    instants.context.leak = ACTION_LEAKS[leak]({"actions": actions, "instants": instants})
    engine.run()
    assert watch["found"]


@pytest.mark.parametrize("leak", TABLE_LEAKS)
def test_a_planted_table_is_found(watch, leak):
    """Each way in which a row of a table that is not known yet could hang on the context."""
    watch["secrets"], prices, scores, facts, members = informed()
    engine = engine_of(Leaky(), prices, scores, bar="1d", tables={"facts": facts}, universe=members)
    instants = engine._running.instants
    instants.context.leak = TABLE_LEAKS[leak]({"facts": facts, "instants": instants})
    engine.run()
    assert watch["found"]
