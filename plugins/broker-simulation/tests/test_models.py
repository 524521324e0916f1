"""Models of others: compiled or plain, the same fills, and no compilation of the core."""

import re

import numba
import numpy as np
import pytest

from ml4t.backtest.errors import PluginError, RunError, RunFileError

BARS = [(0, 100, 200, 10.0, 11.0), (1, 100, 200, 20.0, 21.0)]


def tenth_of_price(orders, i, market, params, state):
    state[0] += 1.0
    return params[0] * market[0]["price"] * np.sign(market[0]["quantity"])


def rising_fee(orders, i, market, params, state):
    state[0] += params[0]
    return state[0] + 0.001 * market[0]["price"]


def constant_impact(orders, i, market, params, state):
    return params[0]


def run(make_world, make_model, wrap):
    world = make_world(
        slippage=make_model(wrap(tenth_of_price), (0.1,), (0.0,)),
        commission=make_model(wrap(rising_fee), (0.25,), (1.0,)),
        impact=make_model(wrap(constant_impact), (0.5,)),
    )
    world.submit(100, (0, 5.0), (1, -3.0))
    world.match(200, *BARS)
    return world


def test_price_is_reference_plus_slippage_plus_impact(make_world, make_model):
    """What slippage and impact cost in cash is (price - reference) * quantity, a cost when positive."""
    fills = run(make_world, make_model, numba.njit).state.fills.rows()

    assert [11.5, 18.5] == fills["price"].tolist()
    assert [10.0, 20.0] == fills["reference_price"].tolist()
    assert [7.5, 4.5] == fills["slippage"].tolist()
    assert [1.25 + 0.0115, 1.5 + 0.0185] == fills["commission"].tolist()


def test_plain_python_models_fill_the_same(make_world, make_model):
    """A plain function is called back; the tables are the same to the byte, and the header says so."""
    compiled = run(make_world, make_model, numba.njit)
    plain = run(make_world, make_model, lambda function: function)

    assert compiled.tables == plain.tables
    assert "slippage, impact, commission, apply_fill" == plain.broker.describe().get("plain Python", "") or (
        numba.config.DISABLE_JIT
    )


def test_models_keep_their_state_across_snapshots(make_world, make_model):
    """The states of the models are part of a snapshot."""
    world = run(make_world, make_model, numba.njit)
    kept = world.broker.get_state()
    assert [2.0, 1.5] == kept["models"].tolist()

    other = run(make_world, make_model, numba.njit)
    other.submit(200, (0, 1.0))
    other.match(300, (0, 200, 300, 10.0, 11.0))
    other.broker.set_state(kept)
    assert [2.0, 1.5] == other.broker.get_state()["models"].tolist()


def test_new_model_does_not_compile_the_core(make_world, make_model):
    """A third party's model plugs in by address."""
    from ml4t_backtest_broker_simulation.compile import load_entry

    world = make_world()
    before = load_entry("match_plain")

    @numba.njit
    def unseen(orders, i, market, params, state):
        return 0.125

    world = make_world(slippage=make_model(unseen))
    world.submit(100, (0, 1.0))
    world.match(200, *BARS)

    assert 10.125 == world.fills[0][2]
    assert load_entry("match_plain") is before
    if not numba.config.DISABLE_JIT:
        assert 1 == len(before.overloads)


def fail(orders, i, market, params, state):
    if i == 1:
        raise ValueError("no opinion on this one")
    return 0.0


@pytest.mark.parametrize("wrap", [lambda function: function, numba.njit])
@pytest.mark.parametrize("kind", ["slippage", "impact", "commission"])
def test_what_a_model_raises_comes_out(make_world, make_model, kind, wrap):
    """The exception is raised when the core returns; what filled before it stays filled."""
    world = make_world(**{kind: make_model(wrap(fail))})
    world.submit(100, (0, 5.0), (0, 3.0))
    with pytest.raises(ValueError, match="no opinion on this one"):
        world.match(200, *BARS)

    assert [(0, 5.0, 10.0, 100)] == world.fills
    assert [[1], []] == world.working


@pytest.mark.parametrize("wrap", [lambda function: function, numba.njit])
@pytest.mark.parametrize("kind", ["function", "slippage", "impact", "commission"])
def test_what_a_model_raises_stops_orders_of_every_kind(make_world, make_model, kind, wrap):
    """Limit orders go another way than plain market orders; the first fill stays, the second is not made."""
    model = wrap(fail_after_one) if kind == "function" else make_model(wrap(fail))
    world = make_world(**{kind: model})
    order = {"quantity": 1.0, "kind": "limit", "limit_price": 10.0}
    world.submit(100, order, order)
    with pytest.raises(ValueError, match="no opinion on this one"):
        world.match(200, *BARS)

    assert [(0, 1.0, 10.0, 100)] == world.fills
    assert (1, "accepted", "") == world.events[3]


def fail_after_one(orders, i, market, params, state):
    if i == 1:
        raise ValueError("no opinion on this one")
    return market[0]["price"]


def test_a_fill_model_is_asked_with_the_price_that_was_found(make_world):
    """It may take it, name another one within the bar, or say not now; what the order may not take is hidden."""

    @numba.njit
    def between(orders, i, market, params, state):
        bar = market[0]
        if i == 1:
            return np.nan
        return (bar["price"] + bar["low"]) / 2.0

    world = make_world(function=between)
    world.submit(100, (0, 1.0), (0, 2.0), {"quantity": 4.0, "kind": "limit", "limit_price": 9.0})
    world.bar(300, 10.0, 11.0, 8.0, 9.5)

    assert [(0, 1.0, 9.0, "next-open"), (2, 4.0, 8.5, "limit")] == world.priced
    assert [[1], []] == world.working


def test_a_fill_model_that_leaves_the_bar_stops_the_run(make_world):
    """No reference price lies outside the bar's range; the error names the order."""

    @numba.njit
    def outside(orders, i, market, params, state):
        return market[0]["high"] + 1.0

    world = make_world(function=outside)
    world.submit(100, (0, 1.0))
    with pytest.raises(RunError, match="order 0 was filled at a reference price outside the row that it met"):
        world.bar(300, 10.0, 11.0, 8.0, 9.5)
    assert [] == world.fills


def test_compiled_models_have_their_bounds_checked(make_world, make_model):
    """A model that reads past its params is an error, never a number."""

    @numba.njit
    def careless(orders, i, market, params, state):
        return params[3]

    world = make_world(slippage=make_model(careless, (1.0,)))
    world.submit(100, (0, 5.0))
    with pytest.raises(IndexError):
        world.match(200, *BARS)


def test_division_by_zero_is_what_the_interpreter_makes_of_it(make_world, make_model):
    """Infinite slippage is no price: the order ends with the reason, compiled or not."""

    @numba.njit
    def infinite(orders, i, market, params, state):
        return market[0]["price"] / params[0]

    world = make_world(slippage=make_model(infinite, (0.0,)))
    world.submit(100, (0, 5.0))
    world.match(200, *BARS)

    assert [] == world.fills
    assert (0, "cancelled", "fill-price-not-finite") == world.events[-1]
    assert [[], []] == world.working


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_function_of_another_shape_is_refused_by_name(make_world, make_model):
    """The message says which function does not compile and what to do."""

    @numba.njit
    def wrong(price):
        return price

    with pytest.raises(PluginError, match=re.escape("wrong does not compile for its fixed shape")):
        make_world(slippage=make_model(wrong))


def test_unknown_rule_is_refused(make_world):
    """The broker says which values it knows."""
    with pytest.raises(RunFileError, match=r"market of the fill model was 'midnight'; known are open, close, vwap"):
        make_world("midnight")


def test_rules_are_described(make_world, make_model):
    """The header names the fill rule and each cost."""
    described = run(make_world, make_model, numba.njit).broker.describe()

    assert "next open that forms after submission" == described["fill"]
    assert {"slippage": "a model", "impact": "a model", "commission": "a model"}.items() <= described.items()
