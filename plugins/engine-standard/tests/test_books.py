"""Several strategies on one account: each sees and trades its own book, and the books are the account."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.core.event import CorporateActionEvent, Event
from ml4t.backtest.errors import InputError, RunError
from ml4t.backtest.interfaces import RiskManager
from ml4t.backtest.state import REQUEST

DAYS = [date(2024, 1, 1) + timedelta(days=day) for day in range(40)]


def market(prices=None, days=DAYS, **symbols):
    """Return daily bars; a symbol's prices are one number, or a list."""
    frames = []
    for name, given in (prices or symbols).items():
        closes = [float(given)] * len(days) if isinstance(given, int | float) else [float(each) for each in given]
        columns = {"symbol": [name] * len(days), "timestamp": days, "open": closes, "close": closes}
        frames.append(pl.DataFrame(columns))
    return pl.concat(frames).sort("timestamp", maintain_order=True)


class Script(Strategy):
    """Carry out one step of a script on each slice, and note what is told."""

    def __init__(self, *steps):
        self.steps, self.fills, self.orders, self.seen = list(steps), [], [], []

    def on_slice(self, market, context):
        if self.steps:
            step = self.steps.pop(0)
            if step is not None:
                self.seen.append(step(context))

    def on_fill(self, fill, context):
        self.fills.append((fill.symbol, fill.quantity))

    def on_order(self, order, context):
        self.orders.append((order.id, order.change))


def run(*strategies, names="ab", shares=None, prices=None, **settings):
    shares = shares or [None] * len(strategies)
    tables = [
        {"use": strategy, "book": name} | ({"share": share} if share else {})
        for strategy, name, share in zip(strategies, names, shares, strict=True)
    ]
    return Engine(prices=market(A=10.0) if prices is None else prices, strategy=tables, **settings).run()


def test_each_strategy_sees_its_share_and_its_own_fills():
    first = Script(lambda context: context.order("A", 10), None, lambda context: context.portfolio.quantities.tolist())
    second = Script(None, None, lambda context: (context.portfolio.cash, dict(context.portfolio.positions)))
    result = run(first, second, shares=(0.25, 0.75))
    assert first.seen[1] == [10.0]
    assert second.seen == [(75_000.0, {})]
    assert first.fills == [("A", 10.0)]
    assert second.fills == []
    assert result.fills["book"].to_list() == ["a"]


def test_targets_and_weights_are_of_the_own_book():
    first = Script(lambda context: context.order_target_percent("A", 0.5))
    second = Script(lambda context: context.order_target_percent("A", -0.5))
    result = run(first, second, shares=(0.6, 0.4))
    assert result.fills["quantity"].to_list() == [3000.0, -2000.0]
    last = result.books.filter(pl.col("timestamp") == pl.col("timestamp").max())
    assert last["gross_exposure"].to_list() == [30_000.0, 20_000.0]


def test_a_target_counts_open_orders_of_its_own_book_only():
    """Working limit orders of one book are nothing to the other."""
    first = Script(
        lambda context: context.order("A", 5, limit_price=1.0), lambda context: context.order_target("A", 8), None
    )
    second = Script(None, lambda context: context.order_target("A", 8), lambda context: len(context.open_orders()))
    result = run(first, second)
    assert result.fills["quantity"].to_list() == [3.0, 8.0]
    assert second.seen[-1] == 0


def test_a_newer_target_replaces_those_of_its_own_book_only():
    fill = {"use": "simulation", "fill": {"use": "next-open", "volume_limit": 0.1}}
    prices = market(A=10.0).with_columns(volume=pl.lit(20.0))
    first = Script(lambda context: context.order_target("A", 20))
    second = Script(lambda context: context.order_target("A", 2), lambda context: context.order_target("A", 4))
    result = run(first, second, prices=prices, broker=fill)
    cancelled = result.orders.filter(pl.col("reason") == "replaced-by-target")
    assert set(cancelled["book"].to_list()) <= {"b"}
    assert result.books.filter(pl.col("book") == "a")["gross_exposure"][-1] == 200.0


def test_cancel_all_leaves_the_orders_of_others():
    first = Script(lambda context: context.order("A", 5, limit_price=1.0))
    second = Script(
        lambda context: context.order("A", 6, limit_price=1.0),
        lambda context: context.cancel_all(),
        lambda context: None,
    )
    result = run(first, second)
    ended = result.orders.filter(pl.col("reason") == "cancelled-by-strategy")
    assert ended["book"].to_list() == ["b"]
    assert [change for _, change in second.orders] == ["cancelled-by-strategy"]
    assert [change for _, change in first.orders] == ["end-of-run"] or first.orders == []


def test_an_order_of_another_book_cannot_be_cancelled():
    """Whoever asks is told, and nobody else."""
    first = Script(lambda context: context.order("A", 5, limit_price=1.0))
    second = Script(None, lambda context: context.cancel(0))
    run(first, second)
    assert [change for _, change in second.orders][:1] == ["unknown-order"]
    assert "unknown-order" not in [change for _, change in first.orders]


def test_strategies_are_called_in_the_order_of_the_settings():
    called = []

    class Named(Strategy):
        def __init__(self, name):
            self.name = name

        def on_start(self, context):
            context.schedule(self.daily, "daily", at="close")

        def daily(self, context):
            called.append((self.name, "daily", len(context.open_orders())))

        def before_trading_start(self, context):
            called.append((self.name, "before", context.session.date))

        def on_slice(self, market, context):
            called.append((self.name, "slice", context.session.date))
            if not context.open_orders():
                context.order("A", 1, limit_price=1.0)

        def on_end(self, context):
            called.append((self.name, "end", None))

    Engine(prices=market(A=10.0), strategy=[Named("x"), {"use": Named("y"), "book": "second"}]).run()
    assert [name for name, *_ in called[::2]] == ["x"] * (len(called) // 2)
    assert [name for name, *_ in called[1::2]] == ["y"] * (len(called) // 2)
    assert {count for _, what, count in called if what == "daily"} == {0, 1}


def test_random_streams_differ_by_the_name_of_the_book():
    class Drawing(Strategy):
        def on_slice(self, market, context):
            self.drawn = float(context.rng.random())

    first, second, third = Drawing(), Drawing(), Drawing()
    run(first, second)
    run(third, Script(), names=("b", "c"))
    assert first.drawn != second.drawn
    assert third.drawn == second.drawn


def test_an_exit_of_no_book_closes_what_each_book_holds():
    """Net 100 long of 150 and -50: closing the account closes both, each with its part of the costs."""

    class Exit(RiskManager):
        def __init__(self):
            self.done = False

        def check(self, requests, state):
            return None

        def exits(self, state):
            if self.done or not len(state.positions) or state.positions["quantity"][0] != 100.0:
                return None
            self.done = True
            rows = np.zeros(1, REQUEST)
            rows["quantity"], rows["group"], rows["parent"] = -100.0, -1, -1
            return rows

    first, second = Script(lambda context: context.order("A", 150)), Script(lambda context: context.order("A", -50))
    result = run(first, second, risk=[Exit()])
    assert first.fills == [("A", 150.0), ("A", -150.0)]
    assert second.fills == [("A", -50.0), ("A", 50.0)]
    assert result.fills["book"].to_list() == ["a", "b", None]
    assert result.books["gross_exposure"][-2:].to_list() == [0.0, 0.0]


class Random(Strategy):
    """Trade at random in every form of order."""

    def on_slice(self, market, context):
        count = len(context.symbols)
        kind = context.rng.integers(4)
        if kind == 0:
            context.order_target_weights(context.rng.normal(0.0, 0.4, count))
        elif kind == 1:
            symbol = context.symbols[context.rng.integers(count)]
            context.order(symbol, float(context.rng.integers(-50, 50)) or 1.0)
        elif kind == 2 and context.open_orders():
            context.cancel_all()
        elif kind == 3:
            symbol = context.symbols[context.rng.integers(count)]
            context.order(symbol, 20.0, limit_price=float(context.price(symbol)) * 0.98)


def wild(seed):
    """Return prices of three symbols over forty days."""
    rng = np.random.default_rng(seed)
    return market({name: 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.03, len(DAYS)))) for name in "ABC"})


ACTIONS = pl.DataFrame(
    [
        {"symbol": "A", "kind": "split", "ex_date": DAYS[10], "ratio": 1.5},
        {"symbol": "B", "kind": "dividend", "ex_date": DAYS[12], "pay_date": DAYS[16], "amount": 0.7},
        {"symbol": "C", "kind": "stock-dividend", "ex_date": DAYS[20], "ratio": 0.1},
        {"symbol": "B", "kind": "spin-off", "ex_date": DAYS[25], "ratio": 0.3, "value": 5.0, "new_symbol": "A"},
        {"symbol": "C", "kind": "merger", "ex_date": DAYS[30], "ratio": 0.7, "amount": 1.0, "new_symbol": "A"},
    ],
    infer_schema_length=None,
)
ACCOUNT = {"borrow": 0.2, "interest": {"debit": 0.3, "credit": 0.05}, "margin_call": "note"}
ACCOUNT |= {"initial_margin": 0.2, "maintenance_margin": 0.1}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["value", "close", "daily"])
def test_books_sum_to_the_account(seed, kind):
    """With actions, borrow, interest and costs; every run compares quantities, cash and equity at each close."""
    costs = {"use": "simulation", "commission": {"use": "per-share", "rate": 0.01}}
    rules = [{"symbol": "*", "multiplier": 2.0, "settles": kind}]
    settings = {"prices": wild(seed), "actions": ACTIONS, "account": ACCOUNT, "broker": costs, "instruments": rules}
    result = run(Random(), Random(), Random(), names="abc", shares=(0.5, 0.3, 0.2), seed=seed, **settings)
    sums = result.books.group_by("timestamp", maintain_order=True).agg(pl.col(pl.Float64).sum())
    for name in ("cash", "equity", "dividends", "interest", "borrow", "commission", "receivable"):
        np.testing.assert_allclose(sums[name], result.equity[name], rtol=1e-9, atol=1e-6)
    assert len(result.fills) > 50


PAIR = {"symbol": "EURUSD", "asset_class": "fx", "base": "EUR", "currency": "USD"}
TWO_ACCOUNTS = [
    {"name": "home", "capital": {"USD": 50_000}, "settlement_days": 2},
    {"name": "away", "venue": "X", "capital": {"USD": 20_000, "EUR": 10_000}},
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settles", ["value", "close", "daily"])
@pytest.mark.parametrize("convert", ["none", "at-fill"])
def test_books_sum_to_several_accounts_and_currencies(seed, settles, convert):
    """With margin calls, whose orders belong to no book."""
    rng = np.random.default_rng(seed)
    prices = {name: 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.04, len(DAYS)))) for name in ("A", "B@X", "C@X")}
    prices["EURUSD"] = 1.1 * np.exp(np.cumsum(rng.normal(0.0, 0.01, len(DAYS))))
    rules = [{"symbol": "A", "settles": settles}, {"symbol": "C"}, PAIR]
    rules += [{"symbol": "B", "currency": "EUR", "settles": settles, "multiplier": 2.0}]
    margins = {
        **ACCOUNT,
        "margin_call": "liquidate",
        "convert": convert,
        "maintenance_margin": 0.6,
        "initial_margin": 0.6,
    }
    settings = {"account": [{**margins, **each} for each in TWO_ACCOUNTS], "base_currency": "USD", "instruments": rules}
    result = run(
        Random(), Random(), Random(), names="abc", shares=(0.5, 0.3, 0.2), prices=market(prices), seed=seed, **settings
    )
    sums = result.books.group_by("timestamp", maintain_order=True).agg(pl.col(pl.Float64).sum())
    for name in ("cash", "equity", "interest", "borrow", "commission"):
        np.testing.assert_allclose(sums[name], result.equity[name], rtol=1e-9, atol=1e-6)
    assert len(result.fills) > 50


def test_a_margin_call_closes_every_book():
    """Net short 700 of -1,000 and 300; each is told of its part."""
    closes = [10.0] * 3 + [60.0] * 37
    first, second = Script(lambda context: context.order("A", -1000)), Script(lambda context: context.order("A", 300))
    result = run(first, second, prices=market(A=closes), capital=20_000)
    assert first.fills == [("A", -1000.0), ("A", 1000.0)]
    assert second.fills == [("A", 300.0), ("A", -300.0)]
    assert result.fills["book"].to_list() == ["a", "b", None]
    assert result.orders.filter(pl.col("tag") == "liquidation")["book"].null_count() > 0


def test_a_run_with_books_goes_on_from_a_snapshot(tmp_path):
    def engine():
        strategies = [{"use": Random(), "book": name} for name in "ab"]
        return Engine(prices=wild(3), strategy=strategies, actions=ACTIONS, account=ACCOUNT, seed=3)

    whole = engine().run()
    broken = engine()
    steps = broken.steps()
    for _ in range(15):
        next(steps)
    broken.snapshot(tmp_path / "half")
    steps.close()
    resumed = engine().run(resume=tmp_path / "half")
    assert resumed.result_hash == whole.result_hash
    assert resumed.books.equals(whole.books)


def test_one_strategy_in_a_list_is_one_strategy():
    alone = Engine(prices=wild(1), strategy=[{"use": Random(), "book": "a"}]).run()
    plain = Engine(prices=wild(1), strategy=Random()).run()
    assert alone.result_hash == plain.result_hash
    assert len(plain.books) == 0


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        ([{"share": 0.5}, {"share": 0.4}], "the shares sum to 0.9, expected 1"),
        ([{"share": 0.5}, {}], "strategy.1.share is missing"),
        ([{"share": "half"}, {"share": 0.5}], "strategy.0.share was 'half', expected a fraction"),
        ([{"book": "x"}, {"book": "x"}], "strategy.1.book is 'x' like another"),
        ([{"book": 7}, {"book": "x"}], "strategy.0.book was 7, expected a name"),
    ],
)
def test_books_that_cannot_be_are_refused(tables, problem):
    strategies = [{"use": Script(), "book": name, **table} for name, table in zip("ab", tables, strict=True)]
    with pytest.raises(InputError, match=problem):
        Engine(prices=market(A=10.0), strategy=strategies)


def test_what_belongs_to_no_run_is_refused():
    same = Script()
    with pytest.raises(InputError, match="one instance is given twice"):
        Engine(prices=market(A=10.0), strategy=[{"use": same, "book": "a"}, {"use": same, "book": "b"}])
    with pytest.raises(InputError, match="strategy is empty"):
        Engine(prices=market(A=10.0), strategy=[])
    with pytest.raises(InputError, match="one strategy has the whole capital"):
        Engine(prices=market(A=10.0), strategy=[{"use": same, "share": 0.5}])


def test_an_error_names_the_strategy_that_raised_it():
    class Broken(Strategy):
        def on_slice(self, market, context):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken") as caught:
        run(Script(), Broken())
    assert "Broken" in caught.value.__notes__[0]


def test_a_component_that_moves_only_the_account_is_found():
    class Thief(Strategy):
        def __init__(self, engine):
            self.engine = engine

        def on_slice(self, market, context):
            state = self.engine[0]._running.instants.state
            state.positions["quantity"][0] += 1.0

    box = []
    engine = Engine(prices=market(A=10.0), strategy=[{"use": Thief(box), "book": "a"}, {"use": Script(), "book": "b"}])
    box.append(engine)
    with pytest.raises(RunError, match="fills and actions sum to"):
        engine.run()


class News(Event):
    """An event that only some listen to."""


def test_events_reach_the_strategies_that_listen_to_them():
    class Hearing(Strategy):
        def __init__(self, *classes):
            self.listens_to, self.heard = classes, []

        def on_event(self, event, context):
            self.heard.append(type(event).__name__)

    first, second, third = Hearing(News), Hearing(), Hearing(CorporateActionEvent)
    actions = pl.DataFrame([{"symbol": "A", "kind": "split", "ex_date": DAYS[10], "ratio": 2.0}])
    tables = [{"use": each, "book": name} for each, name in zip((first, second, third), "abc", strict=True)]
    engine = Engine(prices=market(A=10.0), strategy=tables, actions=actions)
    for now in engine.steps():
        if now.date() == DAYS[5]:
            engine.bus.publish(News(int(now.timestamp() * 1e9)))
    assert Counter(first.heard) == {"BarEvent": 40, "News": 1, "CorporateActionEvent": 1}
    assert Counter(second.heard) == Counter(third.heard) == {"BarEvent": 40, "CorporateActionEvent": 1}


def test_every_strategy_ends_and_the_first_error_is_raised():
    ended = []

    class Ending(Strategy):
        def __init__(self, name, error=None):
            self.name, self.error = name, error

        def on_slice(self, market, context):
            return None

        def on_end(self, context):
            ended.append(self.name)
            if self.error:
                raise self.error

    with pytest.raises(ValueError, match="first"):
        run(Ending("x", ValueError("first")), Ending("y", TypeError("second")))
    assert ended == ["x", "y"]


def test_what_is_recorded_names_its_book():
    first, second = (Script(lambda context: context.record(cash=context.portfolio.cash)) for _ in "ab")
    result = run(first, second, shares=(0.9, 0.1))
    assert result.records.select("book", "cash").rows() == [("a", 90_000.0), ("b", 10_000.0)]
    assert result.targets["book"].to_list() == []


def test_books_of_a_run_file(tmp_path):
    """Names, shares and further keys of a table; the columns say whose order it was."""
    market(A=10.0).write_csv(tmp_path / "prices.csv")
    (tmp_path / "mine.py").write_text(
        "from ml4t.backtest import Strategy\n\n\nclass Buy(Strategy):\n"
        "    def __init__(self, size=1.0):\n        self.size = size\n\n"
        "    def on_slice(self, market, context):\n        context.order_target('A', self.size)\n"
    )
    (tmp_path / "run.toml").write_text(
        'schema = 1\n[[feed]]\nuse = "csv"\npath = "prices.csv"\n'
        '[[strategy]]\nuse = "mine:Buy"\nbook = "small"\nshare = 0.25\n'
        '[[strategy]]\nuse = "mine:Buy"\nbook = "large"\nshare = 0.75\nsize = 7.0\n'
    )
    result = Engine.from_file(tmp_path / "run.toml").run()
    assert result.fills.select("book", "quantity").rows() == [("small", 1.0), ("large", 7.0)]
    assert result.orders["book"].unique().sort().to_list() == ["large", "small"]
    changed = Engine.from_file(tmp_path / "run.toml", ["strategy.1.size=9.0"]).run()
    assert changed.fills["quantity"].to_list() == [1.0, 9.0]


@pytest.mark.parametrize("settles", ["value", "close", "daily"])
def test_books_of_many_units_between_two_steps_sum_to_the_account(settles):
    """Millions of thirds of a coin: floats are off by more than a step, and nobody has lost any."""

    def trade(quantity):
        return lambda context: context.order("COIN", quantity)

    def close(context):
        return context.order("COIN", -context.position("COIN").quantity)

    prices = market(COIN=[0.001, 0.0012, 0.0011] * 4, days=DAYS[:12])
    for count in (1e7, 3e7, 1e5):
        first = Script(trade(-count / 3), None, trade(1e5 / 11), None, close)
        second = Script(trade(3e7 / 11), trade(-count / 7), *[None] * 4, close)
        coin = {"symbol": "COIN", "settles": settles}
        result = run(first, second, prices=prices, account={"type": "unlimited"}, instruments=coin)
        last = result.books.group_by("book").last()
        assert result.equity["equity"][-1] == pytest.approx(last["equity"].sum(), abs=1e-6)
        assert [0.0, 0.0] == last["gross_exposure"].to_list()
