"""Impact is signed: an order moves the price against itself."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import Setup
from ml4t_backtest_impact_standard.models import AlmgrenChrissImpact, LinearImpact, SquareRootImpact

PAPER = {"eta": 2.5e-6, "gamma": 2.5e-7, "epsilon": 0.0625}
COSTS = st.floats(0.0, 1e6)
NUMBERS = st.floats(-1e9, 1e9)
SIZES = st.floats(1e-9, 1e9)
VOLUMES = st.one_of(st.floats(0.0, 1e12), st.just(float("nan")))
EVERY_MODEL = st.one_of(
    st.builds(lambda coefficient: (LinearImpact, {"coefficient": coefficient}), COSTS),
    st.builds(lambda bps, y: (SquareRootImpact, {"volatility_bps": bps, "coefficient": y}), COSTS, COSTS),
    st.builds(
        lambda eta, gamma, epsilon, days: (
            AlmgrenChrissImpact,
            {"eta": eta, "gamma": gamma, "epsilon": epsilon, "interval": days},
        ),
        COSTS,
        COSTS,
        COSTS,
        st.floats(1e-6, 1e3),
    ),
)


@pytest.mark.parametrize(
    ("cls", "settings", "amount"),
    [
        (LinearImpact, {"coefficient": 0.1}, 50.0 * 0.1 * 0.04),
        (SquareRootImpact, {"volatility_bps": 200.0}, 50.0 * 0.02 * 0.2),
        (SquareRootImpact, {"volatility_bps": 200.0, "coefficient": 0.5}, 50.0 * 0.01 * 0.2),
        (AlmgrenChrissImpact, PAPER, 0.0625 + 2.5e-6 * 40_000),
        (AlmgrenChrissImpact, {**PAPER, "interval": 0.5}, 0.0625 + 2.5e-6 * 80_000),
    ],
)
def test_impact_is_against_the_order(order, cls, settings, amount):
    """4 % of a volume of a million at a price of 50, in price units."""
    assert [pytest.approx(amount)] == order(cls, 40_000, **settings)
    assert [pytest.approx(-amount)] == order(cls, -40_000, **settings)
    assert [pytest.approx(amount)] == order(cls, 40_000, price=-50.0, **settings)


def test_later_fills_pay_what_earlier_ones_have_moved(order):
    """Permanent impact alone: 100, then 50 more on top of 100, then 200 on top of 150."""
    settings = {"eta": 0.0, "gamma": 0.01}

    assert [0.0, 1.0, 1.5] == order(AlmgrenChrissImpact, 100, 50, 200, **settings)
    assert [0.0, -1.0, -1.5] == order(AlmgrenChrissImpact, -100, -50, -200, **settings)


@pytest.mark.parametrize("volume", [0.0, -0.0, float("nan"), 5e-324])
@pytest.mark.parametrize(
    ("cls", "settings", "amount"),
    [
        (LinearImpact, {"coefficient": 0.1}, 5.0),
        (SquareRootImpact, {"volatility_bps": 200.0}, 1.0),
        (AlmgrenChrissImpact, {"eta": 0.1, "gamma": 0.0}, 1.0),
    ],
)
def test_without_volume_a_fill_counts_as_all_of_it(order, cls, settings, amount, volume):
    """A number that shows, instead of nothing; the last model takes no volume."""
    assert [amount] == order(cls, 10, volume=volume, **settings)


@given(chosen=EVERY_MODEL, price=NUMBERS, parts=st.lists(SIZES, min_size=1, max_size=4), volume=VOLUMES)
@example(chosen=(LinearImpact, {"coefficient": 10.0}), price=0.0, parts=[2.0], volume=2.3e-308)
@pytest.mark.parametrize("sign", [1, -1])
def test_no_market_makes_impact_a_gain(order, chosen, price, parts, sign, volume):
    """Whatever price, size and volume: a number, never better than no impact, and the same interpreted."""
    cls, settings = chosen
    fills = [sign * part for part in parts]
    found = order(cls, *fills, price=price, volume=volume, **settings)
    interpreted = order(cls, *fills, price=price, volume=volume, plain=True, **settings)

    assert np.isfinite(found).all()
    assert all(sign * amount >= 0.0 for amount in found)
    assert np.array(found).tobytes() == np.array(interpreted, np.float64).tobytes()


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
@pytest.mark.parametrize(
    ("cls", "key"),
    [
        (LinearImpact, "coefficient"),
        (SquareRootImpact, "volatility_bps"),
        (SquareRootImpact, "coefficient"),
        (AlmgrenChrissImpact, "eta"),
        (AlmgrenChrissImpact, "gamma"),
        (AlmgrenChrissImpact, "epsilon"),
    ],
)
def test_impossible_settings_are_refused(cls, key, value):
    """An impact that helps the order is a mistake."""
    needed = {SquareRootImpact: {"volatility_bps": 1.0}, AlmgrenChrissImpact: PAPER}.get(cls, {})
    config = cls.Config(**{**needed, key: value})
    with pytest.raises(RunFileError, match=rf"^{key} of impact model impact was .*; give a finite number >= 0$"):
        cls(config, Setup(name="impact"))


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan"), 5e-324])
def test_impossible_intervals_are_refused(value):
    """A fill takes some time, and not so little that its speed is no number."""
    config = AlmgrenChrissImpact.Config(**PAPER, interval=value)
    with pytest.raises(RunFileError, match=r"interval of impact model impact was .*; give a finite number of days > 0"):
        AlmgrenChrissImpact(config, Setup(name="impact"))


@pytest.mark.parametrize(
    ("cls", "settings", "phrase"),
    [
        (LinearImpact, {"coefficient": 0.1}, "0.1 of the price x share of volume"),
        (SquareRootImpact, {"volatility_bps": 150.0}, "1 x 150 bps x root of share of volume"),
        (AlmgrenChrissImpact, PAPER, "epsilon 0.0625, eta 2.5e-06 over 1 days, gamma 2.5e-07"),
    ],
)
def test_models_describe_themselves_with_units(cls, settings, phrase):
    """The header prints the settings."""
    assert phrase == cls(cls.Config(**settings), Setup(name="impact")).describe()
