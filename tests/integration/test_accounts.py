"""Rules of accounts in whole runs: buying power, settlement, borrow, interest, funding, margin calls, silence."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import RunError, RunFileError

MONDAY = date(2024, 1, 1)
DAYS = [MONDAY + timedelta(days=number) for number in range(14)]


def bars(days=DAYS, **closes):
    """Return daily bars whose open is their close; None leaves a symbol out."""
    return pl.DataFrame(
        [
            {"timestamp": day, "symbol": symbol, "open": float(close), "close": float(close)}
            for symbol, series in closes.items()
            for day, close in zip(days, series, strict=False)
            if close is not None
        ]
    )


FLAT = bars(A=[10.0] * 14, B=[10.0] * 14)


class Script(Strategy):
    """Send orders of (symbol, quantity) by bar; note what was said of them."""

    def __init__(self, orders):
        self.orders, self.bar, self.sent = orders, -1, []

    def on_slice(self, market, context):
        self.bar += 1
        for symbol, quantity in self.orders.get(self.bar, ()):
            self.sent.append(context.order(symbol, quantity))

    @property
    def outcomes(self):
        """(status, reason, filled) of each order."""
        return [(each.status, each.reason, each.filled) for each in self.sent]


def run(orders, prices=FLAT, *, capital=1000.0, **account):
    """Run a script on one account; return strategy and result."""
    strategy = orders if isinstance(orders, Strategy) else Script(orders)
    return strategy, Engine(prices=prices, strategy=strategy, capital=capital, account=account or None).run()


def ledger(result, *kinds):
    """Return (day, kind, symbol, amount) of movements of some kinds."""
    rows = result.ledger.filter(pl.col("kind").cast(pl.String).is_in(kinds))
    return [
        (row["timestamp"].date(), row["kind"], row["symbol"], round(row["amount"], 9))
        for row in rows.iter_rows(named=True)
    ]


def day(number):
    """Return the date at the end of a day: closes are at midnight."""
    return MONDAY + timedelta(days=number + 1)


def table(*rows, **figures):
    """Return rows of (instant in days, symbol) with figures."""
    stamps = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number) for number, _ in rows]
    columns = {"symbol": [symbol for _, symbol in rows], "known_at": stamps, **figures}
    return pl.DataFrame(columns, schema_overrides=dict.fromkeys(figures, pl.Float64))


def test_a_margin_account_is_the_default():
    """Gross of twice the equity: what is more is refused with its reason, and told to the strategy."""
    strategy, result = run({0: [("A", 200), ("B", 1)], 2: [("A", -200), ("B", -201)]})

    assert [("filled", 200.0), ("refused", 0.0), ("filled", -200.0), ("refused", 0.0)] == [
        (status, filled) for status, _, filled in strategy.outcomes
    ]
    assert "no-buying-power" == strategy.outcomes[1][1]
    assert 2000.0 == result.equity["gross_exposure"].max()


def test_all_of_one_company_is_exchanged_for_all_of_another():
    """A market order that only reduces makes room in its round, so that 1.5 x equity may change hands at once."""
    strategy, _ = run({0: [("A", 150)], 2: [("B", 150), ("A", -150)], 4: [("B", -150), ("A", -150)]})

    assert [150.0, 150.0, -150.0, -150.0, -150.0] == [filled for _, _, filled in strategy.outcomes]


def test_a_cash_account_neither_borrows_nor_sells_short():
    """What it has is what it can buy with, proceeds of open sells included."""
    strategy, result = run({0: [("A", 101), ("A", 100), ("B", -1)], 3: [("A", -100), ("B", 100)]}, type="cash")

    assert ["no-buying-power", "short-not-allowed"] == [strategy.outcomes[k][1] for k in (0, 2)]
    assert [100.0, -100.0, 100.0] == [strategy.outcomes[k][2] for k in (1, 3, 4)]
    assert 0.0 == result.equity["cash"].to_list()[-1]


def test_orders_are_cut_where_the_account_scales():
    """A single order to whole lots; what it was before is kept as asked."""
    strategy, result = run({0: [("A", 250)]}, insufficient="scale")

    assert [200.0] == [each[2] for each in strategy.outcomes]
    assert 200.0 == result.fills["quantity"].sum()


class Weights(Strategy):
    """Ask for weights, once."""

    def __init__(self, weights):
        self.weights = weights

    def on_start(self, context):
        self.sent = False

    def on_slice(self, market, context):
        if not self.sent:
            self.sent = True
            context.order_target_weights(np.array([self.weights[name] for name in context.symbols]))


@pytest.mark.parametrize(("insufficient", "held"), [("refuse", [0.0, 0.0]), ("scale", [133.0, 66.0])])
def test_a_basket_is_judged_whole(insufficient, held):
    """Weights of 200 and 100 per cent are too much: none of it, or all of it scaled by one factor."""
    result = run(Weights({"A": 2.0, "B": 1.0}), insufficient=insufficient)[1]

    assert held == result.state.positions["quantity"].tolist()


@pytest.mark.parametrize(("use_unsettled", "reason"), [(True, ""), (False, "no-buying-power")])
def test_proceeds_settle_a_session_later(use_unsettled, reason):
    """T+1: sold on day 3, the cash of it settles at the close of day 4."""
    orders = {0: [("A", 100)], 2: [("A", -100)], 3: [("B", 100)], 4: [("B", 50)]}

    class Look(Script):
        settled = ()

        def on_slice(self, market, context):
            super().on_slice(market, context)
            account = context.portfolio.accounts["main"]
            self.settled += ((account.cash, account.settled_cash),)

    strategy, result = run(Look(orders), type="cash", settlement_days=1, use_unsettled=use_unsettled)

    assert (1000.0, 0.0) == strategy.settled[3]
    assert ((0.0, 0.0) if use_unsettled else (1000.0, 1000.0)) == strategy.settled[4]
    assert reason == (strategy.outcomes[2][1] if reason else "")
    assert ("filled" if use_unsettled else "refused") == strategy.outcomes[2][0]
    assert ("refused" if use_unsettled else "filled") == strategy.outcomes[3][0]
    assert [(day(4), "settlement", None, 0.0)] == ledger(result, "settlement")
    rows = result.ledger.filter(pl.col("kind").cast(pl.String) == "settlement")
    assert [1000.0] == rows["settled"].to_list()


def test_borrow_is_paid_by_the_newest_rate_known():
    """On what was held before each close; a rate of a day is known at its close; no row, no short."""
    rates = pl.DataFrame({"symbol": ["A", "A"], "date": DAYS[:5:4], "rate": [0.36, 0.72], "available": [50.0, 200.0]})
    strategy, result = run({1: [("A", -51), ("A", -50), ("B", -1)], 5: [("A", -50)]}, borrow=rates, capital=10_000.0)

    assert ["not-borrowable", "", "not-borrowable", ""] == [
        reason if status == "refused" else "" for status, reason, _ in strategy.outcomes
    ]
    paid = ledger(result, "borrow")
    assert [-0.5] == [amount for when, *_, amount in paid if when == day(3)]
    assert [-1.0] == [amount for when, *_, amount in paid if when == day(4)]
    assert [-2.0] == [amount for when, *_, amount in paid if when == day(7)]
    assert day(3) == paid[0][0], "filled on day 2, held before the close of day 3"
    assert sum(amount for *_, amount in paid) == pytest.approx(result.equity["borrow"][-1])


def test_interest_counts_days_over_a_weekend():
    """A calendar of sessions: Friday's cash earns three days on Monday."""
    prices = FLAT.filter((pl.col("timestamp").dt.weekday() < 6) & (pl.col("timestamp") > MONDAY))
    result = Engine(
        prices=prices, strategy=Script({}), capital=3600.0, calendar="XNYS", account={"interest": {"credit": 0.1}}
    ).run()
    amounts = [amount for *_, amount in ledger(result, "interest")]

    assert [1, 1, 1, 3] == [round(amount) for amount in amounts[:4]]
    assert 3600.0 + sum(amounts) == pytest.approx(result.final_equity)


def test_a_loan_costs_interest():
    """Cash below zero pays the debit rate, compounded."""
    result = run({0: [("A", 136)]}, interest={"debit": 0.36}, day_count=360)[1]

    assert [-0.36] == [amount for when, *_, amount in ledger(result, "interest") if when == day(2)][:1]


def test_funding_is_paid_on_what_was_held_before():
    """At instants between bars too; longs pay a rate above zero."""
    rates = table((0.5, "A"), (1.0, "A"), (2.5, "A"), (3.0, "A"), (9.0, "Z"), rate=[0.5, 0.5, 0.01, -0.02, 1.0])
    instruments = [{"symbol": "A", "asset_class": "perpetual"}]
    result = Engine(
        prices=FLAT, strategy=Script({0: [("A", 100)]}), capital=1000.0, instruments=instruments,
        account={"funding": rates},
    ).run()  # fmt: skip

    assert [(MONDAY + timedelta(days=2), -10.0), (MONDAY + timedelta(days=3), 20.0)] == [
        (when, amount) for when, *_, amount in ledger(result, "funding")
    ]
    assert 1010.0 == result.final_equity == pytest.approx(1000.0 + result.equity["funding"][-1])


CRASH = bars(A=[10.0, 10.0, 10.0, 6.0, 6.0, 6.0, 6.0], B=[10.0] * 7)


def test_a_margin_call_liquidates():
    """At the close at which equity fell below the requirement; orders end, positions are closed, the run says so."""

    class Stops(Script):
        def on_slice(self, market, context):
            super().on_slice(market, context)
            if self.bar == 1:
                self.sent.append(context.order("A", -200, stop_price=1.0))

    strategy, result = run(Stops({0: [("A", 200)]}), CRASH)

    assert ("cancelled", "liquidation", 0.0) == strategy.outcomes[1]
    closing = result.orders.filter((pl.col("tag") == "liquidation") & (pl.col("status").cast(pl.String) == "filled"))
    assert [-200.0] == closing["quantity"].to_list()
    assert DAYS[4] == result.fills["timestamp"][-1].date()
    assert [200.0] == result.equity["equity"].unique(maintain_order=True).to_list()[1:]
    assert any(flag.startswith("margin call of account main on 2024-01-04: equity 200.00") for flag in result.flags)


def test_a_run_may_stop_at_a_margin_call_or_only_note_it():
    """Stop names account, equity and requirement; a note closes nothing."""
    with pytest.raises(RunError, match=r"margin call of account main on 2024-01-04: equity 200.00, .* 300.00"):
        run({0: [("A", 200)]}, CRASH, margin_call="stop")
    result = run({0: [("A", 200)]}, CRASH, margin_call="note")[1]

    assert 200.0 == result.state.positions["quantity"][0]
    assert any("(first of 4)" in flag for flag in result.flags)


def test_equity_below_zero_is_shown_and_never_nan():
    """A fall through everything: the account owes money, only reducing orders pass."""
    prices = bars(A=[10.0, 10.0, 10.0, 4.0, 4.0, 4.0, 4.0], B=[10.0] * 7)
    strategy, result = run({0: [("A", 200)], 3: [("B", 1)], 5: [("B", 1)]}, prices)

    assert -200.0 == result.final_equity
    assert "equity of account main fell to or below zero on 2024-01-04" in result.flags
    assert ["no-buying-power"] * 2 == [reason for _, reason, _ in strategy.outcomes[1:]]
    figures = result.equity.select(pl.col(pl.Float64))
    assert all(figures[name].is_finite().all() for name in figures.columns)


def silent(policy, **settings):
    """Hold A, whose prices end after day 3, while B goes on."""
    prices = bars(A=[10.0, 10.0, 10.0, 12.0, *[None] * 10], B=[10.0] * 14)
    strategy = Script({0: [("A", 10)], 4: [("A", -1)], 12: [("A", -1)]})
    return strategy, Engine(
        prices=prices, strategy=strategy, capital=1000.0, account={"on_silence": policy, **settings}
    ).run()


def test_silence_stops_a_run_by_default():
    """With symbol, day and account, and what to do."""
    with pytest.raises(RunError, match=r"A has had no price since 2024-01-05, .* account main holds 10 of it"):
        silent("stop")


@pytest.mark.parametrize(
    ("policy", "equity", "held"), [("hold", 1020.0, 10.0), ("last", 1020.0, 0.0), ("zero", 900.0, 0.0)]
)
def test_silence_by_policy(policy, equity, held):
    """Hold keeps the last price, last and zero close the position; orders are refused meanwhile."""
    strategy, result = silent(policy)

    assert (equity, held) == (result.final_equity, result.state.positions["quantity"][0])
    assert ("refused", "mark-too-old", 0.0) == strategy.outcomes[2]
    assert "cancelled" == strategy.outcomes[1][0]
    assert ["delisting"] * (not held) == [kind for _, kind, *_ in ledger(result, "delisting")]
    assert 120.0 == result.equity["stale_exposure"].to_list()[5]


def test_prices_that_return_end_the_silence():
    """Orders pass again."""
    prices = bars(A=[10.0, 10.0, 10.0, *[None] * 6, 10.0, 10.0, 10.0, 10.0, 10.0], B=[10.0] * 14)
    strategy = Script({8: [("A", 1)], 9: [("A", 1)]})
    Engine(prices=prices, strategy=strategy, capital=1000.0, account={"max_mark_age": 3}).run()

    assert [("refused", "mark-too-old"), ("filled", "")] == [
        (status, reason if status == "refused" else "") for status, reason, _ in strategy.outcomes
    ]


def test_the_end_of_the_data_is_no_silence():
    """A position at the last bar is simply held."""
    assert 1000.0 == run({0: [("A", 10)]})[1].final_equity


def test_accounts_are_apart():
    """A symbol at a venue belongs to the account of that venue, with its own cash and limits."""
    prices = pl.concat([FLAT, FLAT.with_columns(symbol=pl.col("symbol") + "@X")])
    strategy = Script({0: [("A", 100), ("A@X", 21), ("A@X", 20)]})
    accounts = [
        {"name": "main", "type": "cash", "capital": {"USD": 1000.0}},
        {"name": "x", "venue": "X", "capital": {"USD": 100.0}},
    ]
    result = Engine(prices=prices, strategy=strategy, account=accounts).run()

    assert ["", "no-buying-power", ""] == [
        reason if status == "refused" else "" for status, reason, _ in strategy.outcomes
    ]
    assert [0.0, -100.0] == result.state.accounts["cash"].tolist()
    assert 1100.0 == result.final_equity


@pytest.mark.parametrize(
    ("account", "message"),
    [
        ({"interest": {"debit": float("nan")}}, "debit"),
        ({"borrow": float("inf")}, "borrow of account main was inf"),
        ({"interest": {"rate": 0.1}}, "rate"),
    ],
)
def test_rates_that_nobody_can_mean_are_refused(account, message):
    """Before anything has run."""
    with pytest.raises(RunFileError, match=message):
        run({}, **account)


class Wild(Strategy):
    """Trade at random, with stops, and keep the count of bars."""

    def on_start(self, context):
        self.bars = 0

    def on_slice(self, market, context):
        self.bars += 1
        for symbol in context.symbols:
            draw = context.rng.integers(-60, 61)
            if self.bars % 2:
                context.order(symbol, float(draw))
            elif draw > 20:
                context.order(symbol, -float(draw), stop_price=8.0)

    def get_state(self):
        return {"bars": self.bars}

    def set_state(self, state):
        self.bars = state["bars"]


def everything():
    """Return an engine with every rule of accounts at work."""
    random = np.random.default_rng(5)
    days = [MONDAY + timedelta(days=number) for number in range(60)]
    walk = {name: (10.0 * np.exp(np.cumsum(random.normal(0.0, 0.06, 60)))).round(2).tolist() for name in "ABCD"}
    walk["D"] = [*walk["D"][:25], *[None] * 12, *walk["D"][37:]]
    stamps = [(number / 3.0, name) for number in range(180) for name in "AB"]
    account = {
        "borrow": table(*[(k, name) for k in range(60) for name in "ABCD"], rate=np.linspace(0.0, 1.0, 240).tolist()),
        "interest": {"debit": 0.2, "credit": 0.1},
        "funding": table(*stamps, rate=random.normal(0.0, 0.001, 360).tolist()),
        "settlement_days": 2,
        "insufficient": "scale",
        "on_silence": "last",
        "max_mark_age": 4,
    }
    return Engine(prices=bars(days, **walk), strategy=Wild(), capital=2000.0, account=account, seed=3)


@pytest.mark.parametrize("place", [7, 29, 31, 45])
def test_a_resumed_run_ends_as_one_that_was_not_cut(tmp_path, place):
    """What rules remember besides the tables is in the snapshot."""
    whole = everything().run()
    engine = everything()
    for number, _ in enumerate(engine.steps()):
        if number == 3 * place:
            engine.snapshot(tmp_path / "kept.snapshot")
    resumed = everything().run(resume=tmp_path / "kept.snapshot")

    assert (whole.result_hash, whole.flags) == (resumed.result_hash, resumed.flags)
    kinds = set(whole.ledger["kind"].cast(pl.String).unique())
    assert {"borrow", "interest", "funding", "settlement", "delisting"} <= kinds
    assert whole.equity["equity"].is_finite().all()


def test_interpreted_rules_give_the_same_bits(monkeypatch):
    """Compiled or not: the sums are the same."""
    from ml4t_backtest_portfolio_standard import buying_power, power_core

    whole = everything().run().result_hash
    plain = np.errstate(all="ignore")(getattr(power_core.all_passes, "py_func", power_core.all_passes))
    monkeypatch.setattr(buying_power, "_compile_all_passes", lambda: plain)

    assert whole == everything().run().result_hash
