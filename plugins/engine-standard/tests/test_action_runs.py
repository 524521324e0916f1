"""Corporate actions in a run: who is told when, what happens to marks, names, columns and past prices."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.core.event import CorporateActionEvent
from ml4t.backtest.errors import RunError
from ml4t.backtest.interfaces import TableSource

NIGHTS = [
    (f"2024-01-{day:02}", f"2024-01-{day:02}T14:30+00:00", f"2024-01-{day:02}T21:00+00:00") for day in range(1, 21)
]


class Rows(TableSource):
    """Actions from plain rows; the ex date is a day of January."""

    def __init__(self, *rows):
        self.frame = pl.DataFrame(
            [{"kind": kind, "symbol": symbol, "ex_date": day(number), **more} for kind, symbol, number, more in rows],
            infer_schema_length=None,
        )

    def read(self):
        return self.frame


class Watcher(Strategy):
    """Write down what is seen at each callback; order when told to."""

    def __init__(self, orders=None, **subscribe):
        self.orders, self.subscribe, self.log, self.past = orders or {}, {"history": 5, **subscribe}, [], {}

    def on_start(self, context):
        context.subscribe("prices", **self.subscribe)

    def before_trading_start(self, context):
        self.note(context, "open")

    def on_event(self, event, context):
        if isinstance(event, CorporateActionEvent):
            self.note(context, "event", event.symbol, event.kind, event.ex_date.day, dict(event.values))

    def on_symbols(self, added, context):
        self.note(context, "symbols", added)

    def on_slice(self, market, context):
        self.note(context, "slice", context.symbols, context.price().round(6).tolist())
        self.past[context.now.day] = context.history("close", self.subscribe["history"])
        for symbol, quantity in self.orders.get(context.now.day, ()):
            context.order(symbol, quantity)

    def note(self, context, *what):
        self.log.append((context.now.day, context.now.hour, *what))

    def of(self, kind):
        return [(*entry[:2], *entry[3:]) for entry in self.log if entry[2] == kind]

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


def day(number):
    """Return a day of January."""
    return date(2024, 1, number)


def bars(prices, first=1):
    """Return daily bars from closes by symbol; None leaves a day out."""
    rows = [
        {"timestamp": day(first + place), "symbol": symbol, **dict.fromkeys(("open", "high", "low", "close"), close)}
        for symbol, closes in prices.items()
        for place, close in enumerate(closes)
        if close is not None
    ]
    return pl.DataFrame(rows).sort("timestamp", "symbol").with_columns(volume=pl.lit(100.0))


@pytest.fixture
def engine(kit):
    """A function (strategy, prices, *rows of actions) -> engine whose broker and portfolio note actions."""

    class Broker(kit.Broker):
        def apply_action(self, action):
            self.calls.append(("broker", action, self.state.instruments["mark"].tolist()))

    class Portfolio(kit.Portfolio):
        def apply_action(self, action):
            broker.calls.append(("portfolio", action, self.state.instruments["mark"].tolist()))

    broker = Broker()

    def make(strategy, prices, *rows, calendar=None, source=None, **settings):
        feed = kit.Source(bars(prices) if isinstance(prices, dict) else prices, **(source or {}))
        made = Engine(
            feed=[feed],
            strategy=strategy,
            broker={"use": broker, "fill": kit.Fill()},
            portfolio=Portfolio(),
            actions=Rows(*rows),
            calendar=kit.Calendar(*NIGHTS) if calendar is None else calendar,
            **settings,
        )
        make.calls = broker.calls
        return made

    return make


def told(engine):
    """Return (who, kind, symbol, other, marks) of the actions that were applied."""
    calls = [call for call in engine.calls if not isinstance(call, str)]
    return [(who, action.kind, action.symbol, action.other, marks) for who, action, marks in calls]


def test_broker_then_portfolio_are_told_before_the_mark_changes(engine):
    """At the open of the ex session; then the mark is that of the new units."""
    strategy = Watcher()
    engine(strategy, {"A": [8.0] * 3 + [4.0]}, ("split", "A", 4, {"ratio": 2.0})).run()
    assert [("broker", "split", 0, -1, [8.0]), ("portfolio", "split", 0, -1, [8.0])] == told(engine)
    _, action, _ = engine.calls[-2] if not isinstance(engine.calls[-2], str) else engine.calls[-1]
    assert (2.0, 0, 0) == (action.ratio, action.currency, action.pay_at)
    assert np.isnan([action.amount, action.value]).all()


@pytest.mark.parametrize(
    ("kind", "figures", "mark"),
    [
        ("split", {"ratio": 4.0}, 2.0),
        ("stock-dividend", {"ratio": 0.25}, 6.4),
        ("dividend", {"amount": 0.5}, 7.5),
        ("spin-off", {"ratio": 0.5, "new_symbol": "N", "value": 3.0}, 6.5),
        ("spin-off", {"ratio": 0.5, "new_symbol": "N"}, 8.0),
        ("merger", {"amount": 9.0}, 8.0),
        ("symbol-change", {"new_symbol": "N"}, 8.0),
        ("delisting", {"value": 1.0}, 1.0),
        ("delisting", {"value": 0.0}, 0.0),
        ("delisting", {}, 8.0),
    ],
)
def test_each_kind_changes_the_mark_as_the_table_says(engine, kind, figures, mark):
    """Seen at the open of the ex session, before any price of it."""

    class Opens(Watcher):
        def before_trading_start(self, context):
            self.note(context, "open", context.price().tolist())

    strategy = Opens()
    engine(strategy, {"A": [8.0] * 3, "Z": [1.0] * 5}, (kind, "A", 4, figures)).run()
    (seen,) = [marks for number, _, marks in strategy.of("open") if number == 4]
    assert mark == pytest.approx(seen[0], abs=1e-12)
    expected = [1.0, 3.0] if figures.get("value") == 3.0 else [1.0, np.nan] if kind == "spin-off" else [1.0]
    np.testing.assert_array_equal(expected, seen[1:])


def test_an_action_is_told_when_it_is_known_and_not_before(engine):
    """To on_event and to subscribers; of a symbol that a row has named, and once."""
    strategy, seen = Watcher(), []
    made = engine(
        strategy,
        {"A": [8.0] * 5, "B": [None] * 3 + [5.0] * 2},
        ("split", "A", 4, {"ratio": 2.0, "known_at": day(2)}),
        ("dividend", "A", 3, {"amount": 0.5}),
        ("dividend", "B", 5, {"amount": 0.1, "known_at": day(2)}),
        ("dividend", "C", 5, {"amount": 0.1}),
    )
    made.bus.subscribe(CorporateActionEvent, lambda event: seen.append((event.when.day, event.kind)))
    made.run()
    assert [(2, 21, "A", "split", 4, {"ratio": 2.0}), (3, 14, "A", "dividend", 3, {"amount": 0.5})] == strategy.of(
        "event"
    )
    assert [(2, "split"), (3, "dividend")] == seen


def test_who_listens_to_actions_is_told_once(engine):
    """By the bus then."""

    class Listener(Watcher):
        listens_to = (CorporateActionEvent,)

    strategy = Listener()
    engine(strategy, {"A": [8.0] * 5}, ("split", "A", 4, {"ratio": 2.0})).run()
    assert 1 == len(strategy.of("event"))


def test_what_happens_before_the_start_is_told_to_nobody_and_done_all_the_same(engine):
    """Warm-up rows are adjusted."""
    strategy = Watcher()
    rows = (("split", "A", 3, {"ratio": 2.0}), ("spin-off", "A", 4, {"ratio": 1.0, "new_symbol": "N"}))
    engine(strategy, {"A": [8.0, 8.0, 4.0, 4.0, 4.0, 4.0]}, *rows, start=day(5), warmup="30d").run()
    assert ([], []) == (strategy.of("event"), strategy.of("symbols"))
    np.testing.assert_array_equal([4.0] * 5, strategy.past[5][:, 0])
    assert ("A", "N") == strategy.of("slice")[0][2]


def test_actions_of_one_instant_come_in_the_order_of_their_rows(engine):
    """The later one finds what the earlier one has left."""
    rows = (("split", "A", 4, {"ratio": 2.0}), ("dividend", "A", 4, {"amount": 1.0}))
    engine(Watcher(), {"A": [8.0] * 3}, *rows, *[("split", "Z", 5, {"ratio": 2.0})]).run()
    assert [] == told(engine)  # the data ends before
    engine(Watcher(), {"A": [8.0] * 4}, *rows).run()
    assert [("split", [8.0]), ("dividend", [4.0])] == [
        (kind, marks) for who, kind, *_, marks in told(engine) if who == "broker"
    ]


def test_what_is_received_gets_a_column_and_the_data_finds_it(engine):
    """Ids of symbols that rows name later move on; the strategy is told like of any new symbol."""
    strategy = Watcher()
    prices = {"A": [8.0] * 8, "B": [None] * 4 + [6.0] * 4, "N": [None] * 5 + [3.0] * 3, "C": [None] * 6 + [9.0] * 2}
    for batch in (0, 1, 3):
        strategy = Watcher()
        rows = (
            ("spin-off", "A", 4, {"ratio": 0.5, "new_symbol": "N"}),
            ("spin-off", "X", 3, {"ratio": 1.0, "new_symbol": "Y"}),
        )
        engine(strategy, prices, *rows, source={"batch": batch}).run()
        added = [(1, 21, ("A",)), (4, 14, ("N",)), (5, 21, ("B",)), (7, 21, ("C",))]
        assert added == strategy.of("symbols")
        assert ("A", "N", "B", "C") == strategy.of("slice")[-1][2]
        assert [8.0, 3.0, 6.0, 9.0] == strategy.of("slice")[-1][3]
        np.testing.assert_array_equal(
            [[8, np.nan, 6, np.nan], [8, 3, 6, np.nan], [8, 3, 6, 9], [8, 3, 6, 9]], strategy.past[8][1:]
        )


def test_what_is_received_may_be_there_already(engine):
    """Whether a row named it or another action did; a giver without a column gives nothing."""
    strategy = Watcher()
    prices = {"A": [8.0] * 8, "B": [None] + [6.0] * 4}
    rows = (
        ("spin-off", "A", 4, {"ratio": 0.5, "new_symbol": "B", "value": 2.0}),
        ("spin-off", "A", 5, {"ratio": 0.5, "new_symbol": "N", "value": 2.0}),
        ("merger", "B", 6, {"ratio": 0.5, "new_symbol": "N"}),
        ("merger", "X", 6, {"ratio": 0.5, "new_symbol": "Y"}),
    )
    engine(strategy, prices, *rows).run()
    assert [("A",), ("B",), ("N",)] == [names for *_, names in strategy.of("symbols")]
    received = [(kind, symbol, other) for who, kind, symbol, other, _ in told(engine) if who == "broker"]
    assert [("spin-off", 0, 1), ("spin-off", 0, 2), ("merger", 1, 2)] == received


def test_rows_of_a_former_company_that_come_late_are_not_the_new_one_s(engine, kit):
    """A feed that names a company for the first time after its ticker has passed on."""
    strategy = Watcher()
    late = bars({"WM": [8.0, 8.0]}).with_columns(timestamp=pl.lit(0)).drop("timestamp")
    stamps = pl.Series([f"2024-01-0{number}T20:00:00" for number in (1, 2)]).str.to_datetime(time_zone="UTC")
    known = pl.Series([f"2024-01-0{number}T20:00:00" for number in (8, 9)]).str.to_datetime(time_zone="UTC")
    rows = late.with_columns(event_time=stamps, known_at=known).select(
        "symbol", "event_time", "known_at", score="close"
    )
    source = kit.Source(rows, name="scores", kind="signal")
    prices = {"A": [1.0] * 9, "WM": [None] * 5 + [30.0] * 4}
    made = engine(strategy, prices, ("delisting", "WM", 4, {"value": 0.0}), signal=[source])
    made.run()
    assert ("A", "WM", "WM (2024-01-03)") == strategy.of("slice")[-1][2]


def test_a_symbol_change_keeps_the_column(engine):
    """Position, history and orders by the new name; the old one is nobody's."""
    strategy = Watcher({2: [("FB", 5.0)]})
    prices = {"FB": [8.0, 8.0, 8.0, None, None], "META": [None] * 3 + [9.0] * 2}
    result = engine(strategy, prices, ("symbol-change", "FB", 4, {"new_symbol": "META"})).run()
    assert [("FB",)] * 3 + [("META",)] * 2 == [names for *_, names, _ in strategy.of("slice")]
    np.testing.assert_array_equal([8, 8, 8, 9, 9], strategy.past[5][:, 0])
    assert ["META"] == result.fills["symbol"].to_list()
    assert ["META"] * 3 == result.positions["symbol"].to_list()


def test_a_ticker_that_passes_on_begins_a_column_of_its_own(engine):
    """The old company is called by its last session, once there is another; its orders stay its own."""
    strategy = Watcher()
    prices = {"WM": [8.0, 1.0, None, None, 30.0, 31.0]}
    engine(strategy, prices, ("delisting", "WM", 3, {"value": 0.0})).run()
    names = [names for *_, names, _ in strategy.of("slice")]
    assert [("WM",)] * 2 + [("WM (2024-01-02)", "WM")] * 2 == names
    assert [0.0, 31.0] == strategy.of("slice")[-1][3]
    assert [(1, 21, ("WM",)), (5, 21, ("WM",))] == strategy.of("symbols")


def test_an_entity_of_the_instruments_keeps_a_stranger_apart(engine):
    """And has rules of its own."""
    listed = [
        {"symbol": "X", "entity": "Old Corp", "listed_to": day(3), "multiplier": 2.0},
        {"symbol": "X", "entity": "New Corp", "listed_from": day(4), "multiplier": 3.0},
    ]
    strategy = Watcher()
    made = engine(strategy, {"X": [1.0, 1.0, 1.0, 5.0, 5.0]}, ("dividend", "X", 5, {"amount": 0.5}), instruments=listed)
    result = made.run()
    assert ("X (Old Corp)", "X") == strategy.of("slice")[-1][2]
    assert [2.0, 3.0] == result.state.instruments["multiplier"].tolist()
    assert [1] == [symbol for who, _, symbol, *_ in told(engine) if who == "broker"]


def test_tickers_that_are_handed_on_keep_their_companies(engine):
    """Entries that end the session before: two companies swap names in one instant, and a third is delisted."""
    listed = [
        {"symbol": "G", "entity": "class A", "listed_to": day(3)},
        {"symbol": "GL", "entity": "class A", "listed_from": day(4)},
        {"symbol": "GV", "entity": "class C", "listed_to": day(3)},
        {"symbol": "G", "entity": "class C", "listed_from": day(4)},
        {"symbol": "W", "listed_to": day(3)},
    ]
    strategy = Watcher({1: [("G", 7.0)]})
    prices = {"G": [8, 8, 8, 5, 5.0], "GL": [None] * 3 + [9, 9.0], "GV": [4, 4, 4.0], "W": [1, 1, 1.0]}
    rows = (("delisting", "W", 4, {"value": 0.25}), ("split", "GL", 5, {"ratio": 3.0}))
    result = engine(strategy, prices, *rows, instruments=listed).run()
    assert ("GL", "G", "W") == strategy.of("slice")[-1][2]
    np.testing.assert_array_equal([9.0, 5.0, 0.25], strategy.of("slice")[-1][3])
    np.testing.assert_array_equal([[8 / 3, 4], [8 / 3, 4], [8 / 3, 4], [3, 5], [9, 5]], strategy.past[5][:, :2])
    assert ["GL"] == result.fills["symbol"].to_list()
    assert [("delisting", 2), ("split", 0)] == [
        (kind, symbol) for who, kind, symbol, *_ in told(engine) if who == "broker" and kind != "symbol-change"
    ]


@pytest.mark.parametrize("calendar", [None, "24/7"])
def test_a_company_goes_on_trading_under_its_next_ticker(engine, calendar):
    """The last session of its first ticker ends nothing, that of its second does."""
    listed = [
        {"symbol": "UW", "entity": "W", "listed_to": day(3)},
        {"symbol": "WMI", "entity": "W", "listed_from": day(4), "listed_to": day(5)},
        {"symbol": "WMI", "entity": "Z", "listed_from": day(8)},
    ]

    class Flags(Watcher):
        def on_slice(self, market, context):
            super().on_slice(market, context)
            self.note(context, "ended", context._state.instruments["ended"].tolist())

    strategy = Flags()
    prices = {"UW": [8.0] * 3, "WMI": [None] * 3 + [9.0] * 2, "Y": [1.0] * 7}
    result = engine(strategy, prices, instruments=listed, calendar=calendar).run()
    assert ["WMI", "Y"] == result.state.symbols.names
    ended = [flags for *_, flags in strategy.of("ended")]
    assert [0, 0, 0, 0, 2] == [max(flags) for flags in ended[:3] + ended[3:4] + ended[-1:]]


def test_a_ticker_taken_over_is_given_back_its_last_session(engine):
    """A company takes a ticker under which rows of another are known."""
    strategy = Watcher()
    prices = {"FB": [8.0] * 3, "META": [2.0] * 3 + [9.0] * 2}
    engine(strategy, prices, ("symbol-change", "FB", 4, {"new_symbol": "META"})).run()
    assert ("META", "META (2024-01-03)") == strategy.of("slice")[-1][2]
    assert [9.0, 2.0] == strategy.of("slice")[-1][3]


def test_nothing_more_is_applied_to_who_trades_no_more(engine):
    """A dividend after a merger is nobody's."""
    rows = (("merger", "A", 3, {"amount": 9.0}), ("dividend", "A", 4, {"amount": 1.0}))
    result = engine(Watcher(), {"A": [8.0] * 2, "B": [1.0] * 6}, *rows).run()
    assert ["merger", "merger"] == [kind for _, kind, *_ in told(engine)]
    assert [1, 0] == result.state.instruments["ended"].tolist()


SPLIT = {"A": [8.0, 8.0, 8.0, 4.0, 4.0, 4.0], "B": [1.0] * 6}


@pytest.mark.parametrize("adjust", [None, "split", "raw", "total"])
def test_history_is_adjusted_as_of_now(engine, adjust):
    """A split divides prices and multiplies volumes; dividends count for total returns only."""
    strategy = Watcher(adjust=adjust)
    rows = (
        ("split", "A", 4, {"ratio": 2.0}),
        ("dividend", "A", 6, {"amount": 1.0}),
        ("dividend", "B", 20, {"amount": 0.1}),
    )
    engine(strategy, SPLIT, *rows).run()
    raw = {3: [np.nan, np.nan, 8, 8, 8], 4: [np.nan, 8, 8, 8, 4], 6: [8, 8, 4, 4, 4]}
    split = {3: raw[3], 4: [np.nan, 4, 4, 4, 4], 6: [4] * 5}
    total = {3: raw[3], 4: split[4], 6: [3, 3, 3, 3, 4]}
    expected = {None: split, "split": split, "raw": raw, "total": total}[adjust]
    for number, closes in expected.items():
        np.testing.assert_array_equal(closes, strategy.past[number][:, 0])
        assert not strategy.past[number].flags.writeable
    np.testing.assert_array_equal([1.0] * 5, strategy.past[6][:, 1])


def test_rows_of_one_instant_that_formed_apart_are_adjusted_apart(engine):
    """A late row of before the split beside one of after it."""
    formed = [f"2024-01-0{day}T{hour}:00:00" for day, hour in ((2, 20), (2, 20), (3, 20), (4, 20), (5, 20))]
    known = [*formed[:2], "2024-01-04T20:00:00", formed[3], formed[4]]
    rows = pl.DataFrame({"symbol": ["A", "B", "A", "B", "A"], "price": [8.0, 1.0, 8.0, 1.0, 4.0], "size": [1.0] * 5})
    stamps = {"event_time": formed, "known_at": known}
    rows = rows.with_columns(
        **{name: pl.Series(each).str.to_datetime(time_zone="UTC") for name, each in stamps.items()}
    )

    class Trades(Watcher):
        def on_slice(self, market, context):
            self.seen = context.history("price", 3)

    strategy = Trades()
    actions = (("split", "A", 4, {"ratio": 2.0}), ("split", "B", 4, {"ratio": 0.5}))
    engine(strategy, rows, *actions, source={"kind": "trade"}).run()
    np.testing.assert_array_equal([[4.0, 2.0], [4.0, 1.0], [4.0, np.nan]], strategy.seen)


def test_windows_and_volumes_are_adjusted_alike(engine):
    """And single columns; a window that the strategy keeps does not change."""

    class Windows(Watcher):
        def on_slice(self, market, context):
            super().on_slice(market, context)
            self.frames = [*getattr(self, "frames", []), context.window("prices")]
            self.volume = context.history("volume", 4, symbol="A")

    strategy = Windows()
    rows = (("split", "A", 4, {"ratio": 2.0}), ("symbol-change", "B", 4, {"new_symbol": "BB"}))
    engine(strategy, {**SPLIT, "B": [1.0] * 3, "BB": [None] * 3 + [1.0] * 3}, *rows).run()
    closes = strategy.frames[3].filter(symbol="A")["close"].to_list()
    assert [4.0] * 4 == closes
    assert [200.0] * 3 + [100.0] == strategy.frames[3].filter(symbol="A")["volume"].to_list()
    assert [8.0] * 3 == strategy.frames[2].filter(symbol="A")["close"].to_list()
    assert [200.0, 100.0, 100.0, 100.0] == strategy.volume.tolist()
    np.testing.assert_array_equal([np.nan, np.nan, 8.0, 8.0, 8.0], strategy.past[3][:, 0])


def test_a_trade_at_the_very_open_is_after_the_action(engine, kit):
    """It is the new company's, at the new price, and history leaves it as it is."""
    stamps = ["2024-01-02T20:00:00", "2024-01-03T20:00:00", "2024-01-04T14:30:00", "2024-01-04T15:00:00"]
    rows = pl.DataFrame({"symbol": ["A", "A", "AA", "AA"], "price": [8.0, 8.0, 4.0, 4.0], "size": [1.0] * 4})
    rows = rows.with_columns(event_time=pl.Series(stamps).str.to_datetime(time_zone="UTC"))

    class Trades(Watcher):
        def on_slice(self, market, context):
            self.seen = context.symbols, context.history("price", 4)[:, 0].tolist(), context.history("size", 4).tolist()
            self.frame = context.window("prices")["price"].to_list()

    strategy = Trades()
    actions = (("split", "A", 4, {"ratio": 2.0}), ("symbol-change", "A", 4, {"new_symbol": "AA"}))
    engine(strategy, rows, *actions, source={"kind": "trade"}).run()
    assert (("AA",), [4.0] * 4, [[2.0], [2.0], [1.0], [1.0]]) == strategy.seen
    assert [4.0] * 4 == strategy.frame


def test_a_basis_that_there_is_not_is_refused(engine):
    """With those that there are."""
    with pytest.raises(RunError, match=r"adjust of 'prices' was 'both': it is \"raw\", \"split\" or \"total\""):
        engine(Watcher(adjust="both"), SPLIT).run()


@pytest.mark.parametrize("latency", ["0s", "20h"])
def test_prices_that_formed_before_come_first(engine, latency):
    """Round the clock the bar that ends at the ex open is of before; so is one that is known late."""
    strategy = Watcher({3: [("A", 1.0)]})
    rows = (("split", "A", 4, {"ratio": 2.0}), ("symbol-change", "A", 4, {"new_symbol": "AA"}))
    prices = {"A": SPLIT["A"][:3], "AA": [None] * 3 + SPLIT["A"][3:]}
    source = {"latency": latency}
    engine(strategy, prices, *rows, calendar="24/7", source=source).run()
    slices = strategy.of("slice")
    assert [("A",)] * 3 + [("AA",)] * 3 == [names for *_, names, _ in slices]
    assert [[8.0]] * 3 + [[4.0]] * 3 == [marks for *_, marks in slices]
    calls = [call if isinstance(call, str) else call[1].kind for call in engine.calls]
    assert ["submit", "match", "split"] == calls[:3]
    np.testing.assert_array_equal([np.nan, np.nan, 8.0, 8.0, 8.0], strategy.past[4][:, 0])
    np.testing.assert_array_equal([np.nan, 4.0, 4.0, 4.0, 4.0], strategy.past[5][:, 0])


def test_an_action_at_the_end_of_all_data_is_none(engine):
    """Round the clock as with a night in between: no price of after it is there."""
    for calendar in (None, "24/7"):
        strategy = Watcher()
        rows = (("split", "A", 4, {"ratio": 2.0}), ("delisting", "A", 5, {"value": 0.0}))
        engine(strategy, {"A": [8.0] * 3}, *rows, calendar=calendar).run()
        assert [] == told(engine)


def test_an_amount_in_an_unknown_currency_is_refused(engine):
    """It cannot be booked anywhere."""
    with pytest.raises(Exception, match="XXX"):
        engine(Watcher(), SPLIT, ("dividend", "A", 4, {"amount": 1.0, "currency": "XXX"})).run()
    engine(Watcher(), SPLIT, ("dividend", "A", 4, {"amount": 1.0, "currency": "USD"})).run()
    assert {0} == {call[1].currency for call in engine.calls if not isinstance(call, str)}


class Events(Strategy):
    """Note bars and actions as events, so that idle stretches are run through."""

    def __init__(self, slices):
        self.log = []
        if slices:
            self.__class__ = type("Slices", (Events,), {"on_slice": Events._slice, "on_event": Strategy.on_event})

    def on_event(self, event, context):
        price = getattr(event, "close", dict(getattr(event, "values", {})))
        self.log.append((context.now_ns, event.symbol, price, context.symbols))

    def _slice(self, market, context):
        self.log.append((context.now_ns, context.symbols, market.close.tolist(), context.price().tolist()))

    def on_symbols(self, added, context):
        self.log.append((context.now_ns, added))


@pytest.mark.parametrize("calendar", ["nights", "24/7"])
@pytest.mark.parametrize("slices", [False, True])
def test_stretches_and_batches_do_not_matter(engine, kit, slices, calendar):
    """Run whole, in steps, and read in pieces: the same calls in the same order."""
    rng = np.random.default_rng(5)
    prices = {name: (50 + rng.normal(size=20).cumsum()).round(2).tolist() for name in ("A", "B", "C")}
    prices["BB"] = [None] * 9 + prices["B"][9:]
    prices["B"] = prices["B"][:9]
    prices["C"] = [None] * 6 + prices["C"][6:]
    rows = (
        ("spin-off", "A", 5, {"ratio": 0.5, "new_symbol": "N", "value": 3.0}),
        ("split", "A", 7, {"ratio": 2.0, "known_at": day(4)}),
        ("symbol-change", "B", 10, {"new_symbol": "BB"}),
        ("delisting", "A", 12, {"value": 1.0}),
    )
    logs = []
    for batch, whole in ((0, True), (0, False), (1, True), (7, False)):
        strategy = Events(slices)
        source = {"batch": batch}
        days = kit.Calendar(*NIGHTS) if calendar == "nights" else calendar
        made = engine(strategy, prices, *rows, calendar=days, source=source)
        if whole:
            made.run()
        else:
            for _ in made.steps():
                pass
        logs.append(strategy.log)
    assert any("BB" in str(entry) for entry in logs[0])
    assert "A (2024-01-11)" in str(logs[0][-1])
    for log in logs[1:]:
        np.testing.assert_equal(log, logs[0])


@pytest.mark.parametrize("stop", range(11))
def test_a_run_goes_on_from_a_snapshot_across_actions(engine, tmp_path, stop):
    """Names, columns, marks and adjusted history are those of the run that was never stopped."""
    prices = {**SPLIT, "B": [1.0] * 4, "BB": [None] * 4 + [1.0] * 2, "C": [None] * 4 + [2.0] * 2}
    rows = (
        ("spin-off", "B", 3, {"ratio": 0.5, "new_symbol": "N", "value": 0.5}),
        ("split", "A", 4, {"ratio": 2.0}),
        ("symbol-change", "B", 5, {"new_symbol": "BB"}),
        ("dividend", "A", 6, {"amount": 0.5}),
    )
    whole = Watcher({2: [("A", 5.0)]}, adjust="total")
    result = engine(whole, prices, *rows).run()
    path = tmp_path / "snapshot"
    steps = engine(Watcher({2: [("A", 5.0)]}, adjust="total"), prices, *rows)
    for place, _ in enumerate(steps.steps()):
        if place == stop:
            steps.snapshot(path)
            break
    resumed = Watcher({2: [("A", 5.0)]}, adjust="total")
    again = engine(resumed, prices, *rows).run(resume=path)
    np.testing.assert_equal(resumed.log, whole.log[len(whole.log) - len(resumed.log) :])
    np.testing.assert_array_equal(whole.past[6], resumed.past[6])
    assert again.result_hash == result.result_hash
