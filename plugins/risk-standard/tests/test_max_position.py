"""No position larger than the limit, whatever is asked for."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, RunFileError, Strategy
from ml4t.backtest.interfaces import Setup
from ml4t.backtest.state import REQUEST, RunState
from ml4t_backtest_risk_standard.max_position import MaxPosition
from ml4t_backtest_testkit.engines import plain_engine


class ByDay(Strategy):
    """Calls a function a day."""

    def __init__(self, *steps):
        self.steps, self.told = list(steps), []

    def on_slice(self, market, context):
        if self.steps:
            self.steps.pop(0)(context)

    def on_order(self, order, context):
        self.told.append((order.id, order.change, order.quantity))


def bars(days=6, price=10.0, symbols=("A", "B")):
    rows = [(date(2024, 3, 4 + day), symbol, price, price) for day in range(days) for symbol in symbols]
    return pl.DataFrame(rows, ["timestamp", "symbol", "open", "close"], orient="row")


def run(*steps, **limit):
    strategy = ByDay(*steps)
    risk = [MaxPosition(MaxPosition.Config(**limit), Setup(name="max-position"))]
    return strategy, plain_engine(strategy, bars(), risk=risk, capital=10_000.0).run()


def quantities(result):
    return result.fills["quantity"].to_list()


@pytest.mark.parametrize("limit", [{"units": 50.0}, {"value": 500.0}, {"fraction": 0.05}], ids=" ".join)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_an_order_is_cut_to_the_limit(limit, side):
    """Long and short, in units, in money and as a part of equity."""
    strategy, result = run(lambda context: context.order("A", side * 80.0), **limit)
    assert [side * 50.0] == quantities(result)
    assert [(0, "changed-by-risk", side * 50.0)] == strategy.told


def test_what_was_asked_for_is_kept():
    """The request in the diary has both quantities."""
    _, result = run(lambda context: context.order("A", 80.0), units=50.0)
    (_, _, rows) = result.journal.request_rows[0]
    assert (80.0, 50.0) == (rows["asked"][0], rows["quantity"][0])


def test_refuse_takes_the_whole_order():
    """With its reason, and with the quantity that was asked for."""
    strategy, result = run(lambda context: context.order("A", 80.0), units=50.0, action="refuse")
    assert [] == quantities(result)
    assert [(0, "refused-by-risk", 80.0)] == strategy.told


def test_orders_on_their_way_count():
    """Three orders of one callback and one of the next share the room."""
    _, result = run(
        lambda context: [context.order("A", 20.0) for _ in range(3)],
        lambda context: context.order("A", 5.0),
        units=50.0,
    )
    assert [20.0, 20.0, 10.0] == quantities(result)


def test_towards_zero_everything_passes():
    """A position is closed and turned, and the other side has its own limit."""
    _, result = run(
        lambda context: context.order("A", 50.0),
        lambda context: context.order("A", -30.0),
        lambda context: context.order("A", -200.0),
        lambda context: context.order("A", 30.0),
        units=50.0,
    )
    assert [50.0, -30.0, -70.0, 30.0] == quantities(result)


def test_a_target_replaces_the_one_before():
    """What is cancelled in the round leaves its room."""

    def twice(context):
        context.order_target("A", 50.0)
        context.order_target("A", 40.0)

    _, result = run(twice, units=50.0)
    assert [40.0] == quantities(result)


def test_a_basket_is_judged_symbol_by_symbol():
    """One symbol is cut, the other is not."""
    _, result = run(lambda context: context.order_target_weights([0.04, 0.5]), fraction=0.05)
    assert [40.0, 50.0] == quantities(result)


@pytest.mark.parametrize("limits", [{}, {"units": 1.0, "value": 1.0}, {"units": 0.0}, {"value": float("nan")}])
def test_one_limit_above_zero_is_needed(limits):
    """Anything else is an error of the run file."""
    with pytest.raises(RunFileError, match=r"needs one limit|give a finite number > 0"):
        MaxPosition(MaxPosition.Config(**limits), Setup(name="max-position"))


def requests_of(**columns):
    rows = np.zeros(1, REQUEST)
    for name, value in {"parent": -1, "group": -1, "counts": 1, **columns}.items():
        rows[name] = value
    return rows


@pytest.fixture
def state():
    """One symbol at 10, long 40 with 30 more on their way in order 0."""
    state = RunState()
    state.add_symbols(["A"])
    state.instruments["mark"], state.positions["quantity"] = 10.0, 40.0
    state.books["open_quantity"] = 30.0
    state.orders.reserve(1)["quantity"][0] = 30.0
    state.orders.data["counts"][0], state.orders.data["status"][0] = 1, 2
    state.counters[RunState.ORDERS] = 1
    return state


def judged(state, rows, **limit):
    MaxPosition(MaxPosition.Config(**limit), Setup(name="max-position")).check(rows, state)
    return float(rows["quantity"][-1]), int(rows["reason"][-1]) != 0


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"quantity": 50.0}, (30.0, False)),
        ({"quantity": 50.0, "reduce_only": 1}, (50.0, False)),
        ({"quantity": -90.0}, (-90.0, False)),
        ({"quantity": -170.0}, (-170.0, False)),
        ({"quantity": -190.0}, (-170.0, False)),
        ({"action": 3, "quantity": 60.0}, (60.0, False)),
        ({"action": 3, "quantity": 61.0}, (61.0, True)),
        ({"action": 3, "quantity": 20.0}, (20.0, False)),
        ({"quantity": 50.0, "kind": 2, "counts": 0}, (30.0, False)),
    ],
)
def test_each_request_is_judged_by_what_it_would_lead_to(state, columns, expected):
    """Positions, orders on their way, and the new quantity of an amendment."""
    assert expected == judged(state, requests_of(**columns), units=100.0)


def test_what_is_cancelled_leaves_its_room(state):
    """A cancel of the round counts for the orders behind it."""
    rows = np.concatenate([requests_of(action=1, order_id=0), requests_of(quantity=70.0)])
    assert (60.0, False) == judged(state, rows, units=100.0)


def test_without_a_price_a_limit_in_money_refuses(state):
    """Nobody knows how much fits."""
    state.instruments["mark"] = np.nan
    assert (70.0, True) == judged(state, requests_of(quantity=70.0), value=1000.0)


def test_a_cut_is_in_whole_lots(state):
    """The rest below a lot is left out."""
    state.instruments["lot"] = 8.0
    assert (24.0, False) == judged(state, requests_of(quantity=80.0), units=100.0)


def test_it_is_found_by_name():
    """As a run file names it, over the real broker."""
    strategy = ByDay(lambda context: context.order("A", 80.0))
    engine = Engine(prices=bars(), strategy=strategy, risk={"use": "max-position", "units": 50.0})
    assert [50.0] == quantities(engine.run())
