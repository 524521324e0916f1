"""Slippage is signed: a buy pays more, a sale gets less."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import Setup, SlippageModel
from ml4t.backtest.state import MARKET, ORDER
from ml4t_backtest_slippage_standard.models import (
    BasisPointSlippage,
    FixedSlippage,
    NoSlippage,
    SpreadSlippage,
    VolumeShareSlippage,
)

SIZES = st.floats(0.0, 1e9)
NUMBERS = st.floats(-1e9, 1e9)
VOLUMES = st.one_of(st.floats(0.0, 1e12), st.just(float("nan")))
EVERY_MODEL = st.one_of(
    st.just((NoSlippage, {})),
    st.builds(lambda size: (BasisPointSlippage, {"bps": size}), SIZES),
    st.builds(lambda size: (FixedSlippage, {"amount": size}), SIZES),
    st.builds(lambda key, size: (SpreadSlippage, {key: size}), st.sampled_from(["spread", "bps", "amount"]), SIZES),
    st.builds(
        lambda limit, impact: (VolumeShareSlippage, {"volume_limit": limit, "price_impact": impact}),
        st.floats(1e-9, 10.0),
        SIZES,
    ),
)


def build(cls, **settings):
    model = cls(cls.Config(**settings), Setup(name="slippage"))
    assert isinstance(model, SlippageModel)
    return model


def bar_of(price, quantity, volume=1e6, **fields):
    market = np.zeros(1, MARKET)
    for name, value in {"price": price, "quantity": quantity, "volume": volume, **fields}.items():
        market[name] = value
    return market


def amount(cls, price, quantity, volume=1e6, **settings):
    model = build(cls, **settings)
    market = bar_of(price, quantity, volume)
    with np.errstate(all="ignore"):  # as in an interpreted run
        return model.function(np.zeros(1, ORDER), 0, market, model.params(), model.initial_state())


@pytest.mark.parametrize(
    ("cls", "settings", "size"),
    [
        (NoSlippage, {}, 0.0),
        (BasisPointSlippage, {"bps": 25.0}, 0.25),
        (FixedSlippage, {"amount": 0.02}, 0.02),
        (SpreadSlippage, {"spread": 0.001}, 0.05),
        (SpreadSlippage, {"bps": 10.0}, 0.05),
        (SpreadSlippage, {"amount": 0.04}, 0.02),
        (VolumeShareSlippage, {"volume_limit": 0.5, "price_impact": 0.1}, 100.0 * 0.1 * 7e-6**2),
    ],
)
def test_slippage_is_against_the_order(cls, settings, size):
    """At a price of 100, in price units."""
    assert pytest.approx(size, rel=1e-15) == amount(cls, 100.0, 7.0, **settings)
    assert -amount(cls, 100.0, 7.0, **settings) == amount(cls, 100.0, -7.0, **settings)


@pytest.mark.parametrize(
    ("cls", "settings", "size"),
    [
        (BasisPointSlippage, {"bps": 100.0}, 0.4),
        (FixedSlippage, {"amount": 0.02}, 0.02),
        (SpreadSlippage, {"spread": 0.02}, 0.4),
        (VolumeShareSlippage, {"volume_limit": 0.1, "price_impact": 1.0}, 0.4),
    ],
)
def test_negative_prices_are_worse_upwards_too(cls, settings, size):
    """A buy at -40 pays more: the size of the price counts, not its sign."""
    assert pytest.approx(size, rel=1e-15) == amount(cls, -40.0, 1e6, **settings)
    assert pytest.approx(-size, rel=1e-15) == amount(cls, -40.0, -1e6, **settings)


@given(EVERY_MODEL, NUMBERS, NUMBERS.filter(bool), VOLUMES)
def test_no_market_makes_slippage_a_gain(chosen, price, quantity, volume):
    """Whatever price, size and volume: a number, never better than no slippage, and the same interpreted."""
    cls, settings = chosen
    model = build(cls, **settings)
    market = bar_of(price, quantity, volume)
    plain = getattr(model.function, "py_func", model.function)
    with np.errstate(all="ignore"):
        found = model.function(np.zeros(1, ORDER), 0, market, model.params(), model.initial_state())
        interpreted = plain(np.zeros(1, ORDER), 0, market, model.params(), model.initial_state())

    assert np.isfinite(found)
    assert found * np.sign(quantity) >= 0.0
    assert np.float64(found).tobytes() == np.float64(interpreted).tobytes()


def test_share_of_volume_counts_up_to_its_limit():
    """zipline's worked case: a share of 0.02 of the volume, then all that the limit of 0.025 lets count."""
    assert pytest.approx(100.0 * 0.1 * 0.02**2, rel=1e-15) == amount(VolumeShareSlippage, 100.0, 20.0, 1_000.0)
    assert pytest.approx(100.0 * 0.1 * 0.025**2, rel=1e-15) == amount(VolumeShareSlippage, 100.0, 500.0, 1_000.0)


@pytest.mark.parametrize("volume", [0.0, -0.0, float("nan"), 1e-320])
def test_without_volume_the_limit_counts(volume):
    """The most that the model can charge, not nothing."""
    assert pytest.approx(100.0 * 0.1 * 0.025**2, rel=1e-15) == amount(VolumeShareSlippage, 100.0, 1.0, volume)


class TestOrdersOfOneBar:
    """The second order of a bar pays for the volume that the first has taken."""

    def ask(self, model, orders, state, i, quantity, **fields):
        market = bar_of(100.0, quantity, 1_000.0, **fields)
        return model.function(orders, i, market, model.params(), state)

    @pytest.fixture
    def model(self):
        return build(VolumeShareSlippage, volume_limit=1.0, price_impact=1.0)

    def test_what_filled_before_in_the_bar_counts(self, model):
        """10 %, then 30 % in all; the sale counts as much as the buy."""
        orders, state = np.zeros(2, ORDER), model.initial_state()

        assert pytest.approx(1.0) == self.ask(model, orders, state, 0, 100.0)
        orders[0]["filled"] = 100.0
        assert pytest.approx(-9.0) == self.ask(model, orders, state, 1, -200.0)
        orders[1]["filled"] = -200.0
        assert pytest.approx(16.0) == self.ask(model, orders, state, 0, 100.0)

    def test_what_filled_in_earlier_bars_does_not_count(self, model):
        """An order may come with a part of it filled; what it adds in this bar counts, at today's stamps too."""
        orders, state = np.zeros(2, ORDER), model.initial_state()
        bar = {"bar_start": 1_700_000_000_000_000_001, "event_time": 1_700_000_060_000_000_002}
        orders[0]["filled"] = 700.0

        assert pytest.approx(1.0) == self.ask(model, orders, state, 0, 100.0, **bar)
        orders[0]["filled"] = 800.0
        assert pytest.approx(9.0) == self.ask(model, orders, state, 1, 200.0, **bar)

    def test_what_did_not_fill_does_not_count(self, model):
        """The broker may ask for a price and then refuse it, as beyond a limit."""
        orders, state = np.zeros(2, ORDER), model.initial_state()
        self.ask(model, orders, state, 0, 100.0)

        assert pytest.approx(4.0) == self.ask(model, orders, state, 1, 200.0)

    @pytest.mark.parametrize(
        "later", [{"symbol": 1}, {"event_time": 61}, {"event_time": 10**18}, {"bar_start": 1}, {"bar_start": 10**9}]
    )
    def test_another_bar_begins_anew(self, model, later):
        """Another symbol, or another time, to the ns."""
        orders, state = np.zeros(2, ORDER), model.initial_state()
        self.ask(model, orders, state, 0, 100.0, event_time=60)
        orders[0]["filled"] = 100.0

        assert pytest.approx(4.0) == self.ask(model, orders, state, 1, 200.0, **{"event_time": 60, **later})

    def test_stamps_of_today_keep_their_ns(self, model):
        """A float64 of UTC ns would take these two bars for one."""
        orders, state = np.zeros(2, ORDER), model.initial_state()
        now = 1_700_000_000_000_000_000
        self.ask(model, orders, state, 0, 100.0, bar_start=now, event_time=now)
        orders[0]["filled"] = 100.0

        assert pytest.approx(4.0) == self.ask(model, orders, state, 1, 200.0, bar_start=now, event_time=now + 1)


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
@pytest.mark.parametrize(
    ("cls", "key"),
    [
        (BasisPointSlippage, "bps"),
        (FixedSlippage, "amount"),
        (SpreadSlippage, "spread"),
        (SpreadSlippage, "bps"),
        (SpreadSlippage, "amount"),
        (VolumeShareSlippage, "price_impact"),
    ],
)
def test_impossible_sizes_are_refused(cls, key, value):
    """A slippage that helps the order is a mistake."""
    with pytest.raises(RunFileError, match=rf"{key} of slippage model slippage was .*; give a finite number >= 0"):
        build(cls, **{key: value})


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_limits_are_refused(value):
    """Nothing would ever count."""
    with pytest.raises(RunFileError, match=r"volume_limit of slippage model slippage was .*; give a finite number > 0"):
        build(VolumeShareSlippage, volume_limit=value)


@pytest.mark.parametrize(
    ("settings", "there_was"), [({}, "there was none"), ({"spread": 0.1, "bps": 2.0}, "there was spread and bps")]
)
def test_a_spread_is_given_once(settings, there_was):
    """Not left out, and not in two units."""
    with pytest.raises(RunFileError, match=f"needs the size of the spread once.*{there_was}"):
        build(SpreadSlippage, **settings)


@pytest.mark.parametrize(
    ("cls", "settings", "phrase"),
    [
        (NoSlippage, {}, "none"),
        (BasisPointSlippage, {}, "5 bps"),
        (FixedSlippage, {"amount": 0.02}, "0.02 per unit"),
        (SpreadSlippage, {"spread": 0.001}, "half of a spread of 0.001"),
        (SpreadSlippage, {"bps": 10.0}, "half of a spread of 10 bps"),
        (SpreadSlippage, {"amount": 0.04}, "half of a spread of 0.04 per unit"),
        (VolumeShareSlippage, {}, "0.1 of the price x (share of volume, at most 0.025)^2"),
    ],
)
def test_models_describe_themselves_with_units(cls, settings, phrase):
    """The header prints the setting."""
    assert phrase == build(cls, **settings).describe()
