"""Rates by the volume of the month, for makers and takers."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml4t.backtest import Engine
from ml4t.backtest.errors import RunFileError
from ml4t_backtest_commission_standard.tiered import Tier, TieredCommission, month_of

# Of value: 10/20 bps, from 10,000 a month 8/15 bps, from 50,000 a rebate of 1 bp for makers.
TABLE = (
    Tier(maker=0.001, taker=0.002),
    Tier(start=10_000.0, maker=0.0008, taker=0.0015),
    Tier(start=50_000.0, maker=-0.0001, taker=0.001),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PARTS = st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=6)


def ns(*day):
    return int((datetime(*day, tzinfo=UTC) - EPOCH).total_seconds()) * 1_000_000_000


@pytest.fixture
def exchange(account):
    return account(TieredCommission, by="value", tiers=TABLE)


def test_volume_of_the_month_sets_the_rate(exchange):
    """Value 5,000 in each order: the third is in the second tier."""
    assert [10.0] == exchange.order(100)
    assert [10.0] == exchange.order(-100)
    assert [7.5] == exchange.order(100)


def test_a_fill_over_a_boundary_pays_each_part_at_its_rate(exchange):
    """60,000 at once: 10,000 at 20 bps, 40,000 at 15 and 10,000 at 10."""
    assert [pytest.approx(20.0 + 60.0 + 10.0)] == exchange.order(1_200)


def test_makers_pay_their_own_rate_and_may_be_paid(exchange):
    """The volume is one for both sides."""
    assert [pytest.approx(5.0)] == exchange.order(100, maker=1)
    assert [pytest.approx(5.0 + 32.0)] == exchange.order(900, maker=1)
    assert [pytest.approx(-0.5)] == exchange.order(100, maker=1)
    assert [pytest.approx(5.0)] == exchange.order(100, maker=0)


def test_units_are_counted_without_price_and_multiplier(account):
    """Futures: contracts a month, currency per contract."""
    tiers = (Tier(maker=1.0, taker=2.0), Tier(start=10.0, maker=0.5, taker=1.5))
    broker = account(TieredCommission, by="units", tiers=tiers)

    assert [24.5] == broker.order(13, price=-37.0, multiplier=1_000.0)


def test_each_month_begins_at_the_first_tier(exchange):
    """Months are those of UTC."""
    january, february = ns(2024, 1, 31, 12), ns(2024, 2, 1, 12)
    assert [pytest.approx(90.0)] == exchange.order(1_200, bar_start=january, event_time=january + 1)
    assert [pytest.approx(5.0)] == exchange.order(100, bar_start=january, event_time=january + 1)
    assert [10.0] == exchange.order(100, bar_start=february, event_time=february + 1)


def test_a_bar_that_ends_at_midnight_belongs_to_the_old_month(exchange):
    """A trade at that moment belongs to the new one."""
    last, midnight = ns(2024, 1, 31), ns(2024, 2, 1)
    assert [pytest.approx(90.0)] == exchange.order(1_200, bar_start=last, event_time=last + 1)

    assert [pytest.approx(5.0)] == exchange.order(100, bar_start=last, event_time=midnight)
    assert [10.0] == exchange.order(100, bar_start=midnight, event_time=midnight)


def test_a_late_row_of_an_old_month_counts_in_the_present_one(exchange):
    """The month never goes back, so no volume is forgotten."""
    january, february = ns(2024, 1, 31, 23), ns(2024, 2, 1, 1)
    assert [pytest.approx(90.0)] == exchange.order(1_200, bar_start=february, event_time=february)
    assert [pytest.approx(5.0)] == exchange.order(100, bar_start=january, event_time=january)
    assert [pytest.approx(5.0)] == exchange.order(100, bar_start=february, event_time=february)


@pytest.mark.parametrize("by", ["value", "units"])
def test_what_has_no_price_does_not_count(account, by):
    """The broker ends such an order; the month goes on."""
    exchange = account(TieredCommission, by=by, tiers=TABLE)

    assert np.isnan(exchange.order(1_200, price=float("nan"))).all()
    assert [-1.0, 0.0] == exchange.state.tolist()


@given(parts=PARTS, price=st.floats(-1e3, 1e3), maker=st.booleans(), sign=st.sampled_from([1, -1]))
def test_a_fill_costs_the_same_in_parts_and_whole(account, parts, price, maker, sign):
    """Whatever boundaries lie between; and the interpreter charges the same to the bit."""
    costs, interpreted, whole = (
        account(TieredCommission, by="value", tiers=TABLE).order(*fills, price=price, maker=maker, plain=plain)
        for fills, plain in (
            ([sign * part for part in parts], False),
            ([sign * part for part in parts], True),
            ([sign * sum(parts)], False),
        )
    )

    assert pytest.approx(whole[0], rel=1e-9, abs=1e-9) == sum(costs)
    assert np.array(costs).tobytes() == np.array(interpreted, np.float64).tobytes()


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_months_are_those_of_the_calendar(moment):
    """All moments that int64 ns can hold, 1677 to 2262."""
    day = EPOCH + timedelta(microseconds=moment // 1_000)

    assert day.year * 12 + day.month - 1 == month_of(moment)


def test_months_begin_and_end_where_the_calendar_says():
    """Every month that int64 ns can hold in full, leap years and centuries included, to the ns."""
    for month in range(1678 * 12, 2262 * 12):
        start = int((datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) * 1_000_000_000
        assert (month - 1, month) == (month_of(start - 1), month_of(start))


def test_tiers_come_from_a_run_file():
    """As a list of tables; the first may leave its start out."""
    rows = [{"maker": 0.001, "taker": 0.002}, {"start": 10_000, "maker": 0.0008, "taker": 0.0015}]
    settings = {"by": "value", "tiers": rows}

    config = Engine.configure(TieredCommission.Config, settings, where="broker.commission", owner="commission tiered")
    assert TABLE[:2] == config.tiers


@pytest.mark.parametrize(
    ("tiers", "message"),
    [
        ((), r"tiers of commission model commission started at \[\]; start the first at 0"),
        ((Tier(start=5.0, maker=0.1, taker=0.1),), r"started at \[5.0\]; start the first at 0"),
        ((TABLE[0], TABLE[2], TABLE[1]), "each later one higher"),
        ((TABLE[0], TABLE[0]), "each later one higher"),
        ((TABLE[0], Tier(start=float("inf"), maker=0.1, taker=0.1)), r"tiers.1.start .* was inf"),
        ((TABLE[0], Tier(start=float("nan"), maker=0.1, taker=0.1)), "each later one higher"),
        ((Tier(maker=0.1, taker=-0.1),), r"tiers.0.taker of commission model commission was -0.1; .* >= 0"),
        ((Tier(maker=float("nan"), taker=0.1),), r"tiers.0.maker of .* was nan; .* < 0 for a rebate"),
    ],
)
def test_impossible_tables_are_refused(account, tiers, message):
    """The message names row and key."""
    with pytest.raises(RunFileError, match=message):
        account(TieredCommission, by="value", tiers=tiers)


@pytest.mark.parametrize(
    ("by", "tiers", "phrase"),
    [
        ("value", TABLE, "maker/taker 0.001/0.002 to -0.0001/0.001 from 50000 a month of value"),
        ("units", TABLE[:1], "maker/taker 0.001/0.002 per unit"),
    ],
)
def test_the_table_describes_itself(account, by, tiers, phrase):
    """First and last row, with the unit."""
    assert phrase == account(TieredCommission, by=by, tiers=tiers).model.describe()
