"""The real engine and the plain one agree on random small markets."""

from datetime import date, timedelta

import numpy as np
import polars as pl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ml4t.backtest import Engine, Strategy

FIRST = date(2021, 3, 1)
NAN = float("nan")
NAMES = ("AA", "BB", "CC")

price = st.one_of(st.integers(4, 400).map(lambda quarters: quarters / 4), st.floats(0.5, 500.0))
whole = st.integers(-50, 50).map(float)
bar = st.tuples(st.one_of(st.just(NAN), price, price, price), st.one_of(st.just(NAN), price, price, price))
day = st.dictionaries(st.sampled_from(NAMES), bar, max_size=3)
amounts = {
    "quantities": st.one_of(whole, st.floats(-9.0, 9.0, allow_subnormal=False).map(lambda x: round(x, 3))),
    "target_quantities": st.one_of(whole, st.just(0.0)),
    "target_weights": st.one_of(st.just(0.0), st.floats(-1.0, 1.0, allow_subnormal=False).map(lambda x: round(x, 4))),
}


@st.composite
def decision(draw):
    kind = draw(st.sampled_from(sorted(amounts)))
    return kind, draw(st.dictionaries(st.sampled_from(NAMES), amounts[kind], max_size=3))


@st.composite
def worlds(draw):
    days = draw(st.integers(1, 12))
    return {
        "market": draw(st.lists(day, min_size=days, max_size=days)),
        "script": draw(st.lists(decision(), min_size=days, max_size=days)),
        "mode": draw(st.sampled_from(["next-open", "next-close", "same-close"])),
        "bps": draw(st.sampled_from([0.0, 5.0, 12.5])),
        "rate": draw(st.sampled_from([0.0, 0.005, 0.01])),
        "minimum": draw(st.sampled_from([0.0, 1.0])),
    }


class Script(Strategy):
    """Carry out a list of decisions, one a day."""

    def __init__(self, script):
        self.script = script

    def after_trading_end(self, context):
        kind, wanted = self.script[(context.session.date - FIRST).days]
        vector = np.array([wanted.get(name, NAN) for name in context.symbols], float)
        if len(vector) and not np.isnan(vector).all():
            if kind == "quantities":
                vector[vector == 0.0] = NAN  # an order for nothing is refused, and no concern here
            getattr(context, f"order_{kind}")(vector)


def frame(market):
    rows = [
        (name, FIRST + timedelta(days=place), opened, np.nanmax([opened, closed, 1.0]), closed)
        for place, bars in enumerate(market)
        for name, (opened, closed) in bars.items()
    ]
    columns = {"symbol": pl.String, "timestamp": pl.Date, "open": float, "high": float, "close": float}
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.col("open", "close").fill_nan(None), low=pl.min_horizontal("open", "close", pl.lit(0.1))
    )


def run_real(world, capital=100_000.0):
    days = len(world["market"])
    broker = {
        "fill": {"use": world["mode"]},
        "slippage": {"use": "bps", "bps": world["bps"]},
        "commission": {"use": "per-share", "rate": world["rate"], "minimum": world["minimum"]},
    }
    engine = Engine(
        prices=frame(world["market"]),
        strategy=Script(world["script"]),
        capital=capital,
        # The reference asks for no margin, and takes the last price however old it is.
        account={"type": "unlimited", "on_silence": "hold", "max_mark_age": days, "margin_call": "note"},
        broker=broker,
        start=FIRST,
        end=FIRST + timedelta(days=days - 1),
        reporter=[],
    )
    return engine.run()


def run_plain(reference, world, capital=100_000.0):
    bars = [{name: reference.Bar(*prices) for name, prices in day.items()} for day in world["market"]]
    costs = {name: world[name] for name in ("bps", "rate", "minimum")}
    engine = reference.Reference(world["mode"], capital, **costs)
    engine.run(bars, world["script"])
    return engine


def fills_of(result, mode):
    """Return the real fills in the reference's terms; a close belongs to the day that it ends."""
    shift = timedelta(0) if mode == "next-open" else timedelta(days=1)
    columns = ("symbol", "quantity", "price", "commission", "slippage")
    return [
        ((row["timestamp"].date() - shift - FIRST).days, *(row[name] for name in columns))
        for row in result.fills.iter_rows(named=True)
    ]


WORLD = {
    "market": [
        {"AA": (10.0, 11.0), "BB": (20.0, 21.0)},
        {"AA": (NAN, 12.0)},
        {"AA": (12.5, NAN), "BB": (22.0, 20.0), "CC": (5.0, 5.0)},
        {"BB": (NAN, NAN), "CC": (6.0, 7.0)},
        {"AA": (13.0, 14.0), "BB": (19.0, 18.0), "CC": (7.0, 6.5)},
    ],
    "script": [
        ("target_weights", {"AA": 0.4, "BB": -0.3, "CC": 0.5}),
        ("target_weights", {"AA": 0.5, "BB": -0.2}),
        ("quantities", {"AA": 7.0, "CC": -3.0}),
        ("target_quantities", {"AA": 100.0, "BB": 0.0, "CC": 40.0}),
        ("target_weights", {"AA": 0.0, "BB": 0.1, "CC": NAN}),
    ],
    "mode": "next-open",
    "bps": 5.0,
    "rate": 0.01,
    "minimum": 1.0,
}


SILENT = {
    "market": [{"CC": (4.0, 5.0)}, {"CC": (5.0, 5.0)}, *[{"AA": (1.0, 1.0)}] * 6, {"CC": (6.0, 7.0)}],
    "script": [*[("quantities", {})] * 7, ("quantities", {"CC": 1.0}), ("quantities", {})],
    "mode": "next-close",
    "bps": 0.0,
    "rate": 0.0,
    "minimum": 0.0,
}


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=worlds())
@example(world=WORLD)
@example(world={**WORLD, "mode": "next-close"})
@example(world={**WORLD, "mode": "same-close"})
@example(world=SILENT)
def test_fills_are_equal_and_equity_agrees(reference, world):
    """Same market, same decisions: the same fills to the bit, equity to 1e-9 of it."""
    if not any(world["market"]):
        return
    result, plain = run_real(world), run_plain(reference, world)

    expected = [(f.day, f.symbol, f.quantity, f.price, f.commission, f.slippage) for f in plain.fills]
    assert expected == fills_of(result, world["mode"])
    sessions = [(day - FIRST).days for day in result.equity["session"]]
    assert sessions == sorted(set(sessions))
    np.testing.assert_allclose(
        result.equity["equity"].to_numpy(), np.array(plain.equity)[sessions], rtol=1e-9, atol=1e-9
    )
