"""Risk managers stand before the broker: they approve, change and refuse, and ask for exits."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, RunError, Strategy
from ml4t.backtest.interfaces import RiskManager
from ml4t.backtest.state import REASONS, REQUEST


def bars(closes, symbols=("A", "B")):
    made = [
        (date(2024, 3, 4) + timedelta(day), symbol, price, price)
        for day, price in enumerate(closes)
        for symbol in symbols
    ]
    return pl.DataFrame(made, ["timestamp", "symbol", "open", "close"], orient="row")


FLAT = bars([100.0] * 6)


class ByDay(Strategy):
    def __init__(self, *steps):
        self._steps, self.told, self.seen = list(steps), [], []

    def on_slice(self, market, context):
        self.seen.append([(each.id, each.quantity) for each in context.open_orders()])
        if self._steps:
            self._steps.pop(0)(context)

    def on_order(self, order, context):
        self.told.append((order.id, order.status, order.change))


class Judge(RiskManager):
    """Does to each round what a function says."""

    def __init__(self, act):
        self.act, self.rounds = act, []

    def check(self, requests, state):
        self.rounds.append(requests.copy())
        self.act(requests)


def run(strategy, *managers, frame=FLAT, **settings):
    return Engine(prices=frame, strategy=strategy, risk=list(managers), **settings).run()


def halve(requests):
    requests["quantity"] = np.trunc(requests["quantity"] / 2)


def refuse(requests):
    requests["reason"] = REASONS.index("refused-by-risk")


def test_a_changed_quantity_is_traded_and_recorded():
    """The transition says so, the strategy is told, and what was asked for is kept."""
    strategy = ByDay(lambda context: context.order("A", 100))
    result = run(strategy, Judge(halve), Judge(halve))
    assert [25.0] == result.fills["quantity"].to_list()
    assert ("submitted", "changed-by-risk") == result.orders.select("status", "reason").row(0)
    assert [(0, "accepted", "changed-by-risk")] == strategy.told
    assert {(100.0, 25.0)} == set(result.orders.select("asked", "quantity").rows())


def test_a_refused_order_keeps_its_quantity():
    """With the manager's reason; the next manager sees that it is refused."""
    strategy, second = ByDay(lambda context: context.order("A", 100)), Judge(lambda requests: None)
    result = run(strategy, Judge(refuse), second)
    assert [(0, "refused", "refused-by-risk")] == strategy.told
    assert {100.0} == set(result.orders["quantity"])
    assert "refused-by-risk" == REASONS[second.rounds[0]["reason"][0]]


def test_a_cut_to_nothing_is_a_refusal():
    """Zero is no order."""
    strategy = ByDay(lambda context: context.order("A", 1))
    result = run(strategy, Judge(halve))
    assert {"refused-by-risk": 1} == dict(result.refusals)
    assert {1.0} == set(result.orders["quantity"])


def test_an_approved_order_is_as_it_was():
    """Nothing is said where nothing was changed; the decision hash is that of a run without managers."""
    steps = [lambda context: context.order_target_weights([0.2, 0.3])]
    with_judge = run(ByDay(*steps), Judge(lambda requests: None))
    assert run(ByDay(*steps)).decision_hash == with_judge.decision_hash


def test_a_basket_comes_whole():
    """One round, one number, all symbols of the decision."""
    judge = Judge(lambda requests: None)
    run(ByDay(lambda context: context.order_target_weights([0.2, 0.3])), judge)
    assert [[1, 1]] == [each["basket"].tolist() for each in judge.rounds]
    assert [[0, 1]] == [each["symbol"].tolist() for each in judge.rounds]


def halve_entries(requests):
    entries = requests["parent"] < 0
    requests["quantity"][entries] = np.trunc(requests["quantity"][entries] / 2)


def test_children_are_cut_with_their_entry():
    """A bracket that closed more than its entry has opened would turn the position."""
    strategy = ByDay(lambda context: context.bracket("A", 11, stop_price=80.0, target_price=110.0))
    result = run(strategy, Judge(halve_entries), frame=bars([100.0, 100.0, 120.0, 120.0]))
    assert [5.0, -5.0] == result.fills["quantity"].to_list()
    assert {(0, 11.0, 5.0), (1, -11.0, -5.0), (2, -11.0, -5.0)} == set(
        result.orders.filter(status="submitted").select("order_id", "asked", "quantity").rows()
    )


def test_children_of_another_size_are_cut_to_their_part_in_lots():
    """Three quarters of an entry of 11, of which 5 are left, are 3; a manager may cut a child further."""

    def orders(context):
        entry = context.order("A", 11)
        context.order("A", -8, stop_price=80.0, parent=entry)

    assert [5.0, -3.0] == [*run(ByDay(orders), Judge(halve_entries)).orders.filter(status="submitted")["quantity"]]

    def further(requests):
        halve_entries(requests)
        requests["quantity"][requests["parent"] >= 0] = -1.0

    assert [5.0, -1.0] == [*run(ByDay(orders), Judge(further)).orders.filter(status="submitted")["quantity"]]


def test_a_child_of_which_no_lot_is_left_is_refused():
    """Its entry is traded, and it keeps its quantity."""

    def orders(context):
        entry = context.order("A", 10)
        context.order("A", -1, stop_price=80.0, parent=entry)

    result = run(ByDay(orders), Judge(halve_entries))
    assert {"refused-by-risk": 1} == dict(result.refusals)
    assert [-1.0] == result.orders.filter(order_id=1, status="refused")["quantity"].to_list()
    assert [5.0] == result.fills["quantity"].to_list()


def test_brackets_and_amendments_pass_the_managers_too():
    """No request reaches the broker by another way."""

    def step(context):
        made = context.bracket("A", 10, entry_limit=90.0, stop_price=80.0)
        context.amend(made.entry, limit_price=91.0)
        context.cancel(made.entry)

    judge = Judge(lambda requests: None)
    run(ByDay(step), judge)
    assert [0, 0, 3, 1] == judge.rounds[0]["action"].tolist()


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda requests: requests["quantity"].fill(np.nan), "from 100.0 to nan: a quantity keeps its side"),
        (lambda requests: requests["quantity"].fill(np.inf), "from 100.0 to inf: a quantity keeps its side"),
        (lambda requests: requests["quantity"].fill(-1.0), "from 100.0 to -1.0: a quantity keeps its side"),
        (lambda requests: requests["reason"].fill(999), "is no index into ml4t.backtest.state.REASONS"),
        (lambda requests: requests["reason"].fill(-1), "is no index into ml4t.backtest.state.REASONS"),
    ],
)
def test_a_manager_that_writes_nonsense_is_named(act, said):
    """The run stops before the broker acts on it."""
    with pytest.raises(RunError, match=f"Judge .*{said}") as caught:
        run(ByDay(lambda context: context.order("A", 100)), Judge(act))
    assert "raised in risk.check of" in caught.value.__notes__[0]


class StopLoss(RiskManager):
    """Sells what has lost more than a tenth of its price."""

    def check(self, requests, state):
        pass

    def exits(self, state):
        marks, positions = state.instruments["mark"], state.positions
        lost = np.flatnonzero((positions["quantity"] > 0) & (marks < 0.9 * positions["average_price"]))
        rows = np.zeros(len(lost), REQUEST)
        rows["symbol"], rows["quantity"] = lost, -positions["quantity"][lost]
        return rows


FALLS = bars([100.0, 100.0, 95.0, 85.0, 84.0, 83.0])


def test_an_exit_is_asked_for_before_the_strategy_is_called():
    """The strategy sees it among the open orders of the same instant; it fills at the next price."""
    strategy = ByDay(lambda context: context.order("A", 10))
    result = run(strategy, StopLoss(), frame=FALLS)
    assert [(10.0, 100.0), (-10.0, 84.0)] == result.fills.select("quantity", "price").rows()
    assert [[], [], [], [(1, -10.0)], [], []] == strategy.seen


def test_exits_are_judged_like_any_other_order():
    """A second manager may change them; a target counts them."""
    asked = []

    def flat(context):
        asked.append(context.order_target("A", 0))

    steps = [lambda context: context.order("A", 10), lambda context: None, lambda context: None, flat]
    result = run(ByDay(*steps), StopLoss(), frame=FALLS)
    assert [None] == asked
    judge = Judge(lambda requests: None)
    run(ByDay(*steps), StopLoss(), judge, frame=FALLS)
    assert [10.0, -10.0] == [float(each["quantity"][0]) for each in judge.rounds]
    assert result.journal.request_rows


def test_exits_are_asked_for_in_idle_stretches():
    """No order works and the strategy asks for nothing; the manager is asked at each instant all the same."""

    class Counts(RiskManager):
        def __init__(self):
            self.calls = 0

        def check(self, requests, state):
            pass

        def exits(self, state):
            self.calls += 1

    manager = Counts()
    run(ByDay(), manager)
    assert 6 == manager.calls


def test_a_manager_may_cancel_orders():
    """By id, as the strategy does."""

    class Cancels(RiskManager):
        def check(self, requests, state):
            pass

        def exits(self, state):
            if state.working:
                rows = np.zeros(1, REQUEST)
                rows["action"] = 1
                return rows
            return None

    strategy = ByDay(lambda context: context.order("A", 10, limit_price=50.0))
    run(strategy, Cancels())
    assert [(0, "cancelled", "cancelled-by-strategy")] == strategy.told


@pytest.mark.parametrize(
    "columns",
    [
        {"symbol": 9, "quantity": 1.0},
        {"quantity": np.nan},
        {"quantity": 0.0},
        {"quantity": 1.0, "action": 3},
        {"kind": 9},
    ],
)
def test_a_senseless_exit_is_an_error_that_names_the_manager(columns):
    """An unknown symbol, no quantity, an amendment."""

    class Wrong(StopLoss):
        def exits(self, state):
            rows = np.zeros(1, REQUEST)
            rows["quantity"] = 1.0
            for name, value in columns.items():
                rows[name] = value
            return rows

    with pytest.raises(RunError, match="Wrong asked for an exit of") as caught:
        run(ByDay(), Wrong())
    assert "raised in risk.exits of" in caught.value.__notes__[0]


@pytest.mark.parametrize("tag", [-1, 1000])
@pytest.mark.parametrize("action", [0, 1])
def test_a_tag_of_an_exit_must_be_known(action, tag):
    """A text of the run, or for a cancel a reason."""

    class Wrong(StopLoss):
        def exits(self, state):
            rows = np.zeros(1, REQUEST)
            rows["quantity"], rows["action"], rows["tag"] = 1.0, action, tag
            return rows

    with pytest.raises(RunError, match=f"Wrong gave an exit the tag {tag}"):
        run(ByDay(), Wrong())


def test_a_cancel_may_say_how_the_order_ends():
    """The tag of a cancel is a reason."""

    class Cancels(RiskManager):
        def check(self, requests, state):
            pass

        def exits(self, state):
            rows = np.zeros(1 if state.working else 0, REQUEST)
            rows["action"], rows["tag"] = 1, REASONS.index("liquidation")
            return rows

    strategy = ByDay(lambda context: context.order("A", 10, limit_price=50.0))
    run(strategy, Cancels())
    assert [(0, "cancelled", "liquidation")] == strategy.told


def test_exits_are_rows_of_the_table_of_requests():
    """Anything else is an error that says so."""

    class Wrong(StopLoss):
        def exits(self, state):
            return np.zeros(3)

    with pytest.raises(RunError, match=r"Wrong gave exits of float64: give rows of ml4t.backtest.state.REQUEST"):
        run(ByDay(), Wrong())
