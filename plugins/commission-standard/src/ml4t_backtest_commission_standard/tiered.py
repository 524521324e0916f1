"""Commission that falls with what was traded in the month."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml4t.backtest.errors import RunFileError
from ml4t_backtest_commission_standard.shape import Commission, Floats, Table, compiled, not_negative

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.interfaces import Setup

__all__ = ["Tier", "TieredCommission"]


@compiled
def month_of(moment: int) -> int:
    """Return the number of months from January of the year 0 to a moment in UTC ns.

    The years are counted from March, so that the day of a leap year is the last; see Howard Hinnant,
    "chrono-compatible low-level date algorithms", ``civil_from_days``.
    """
    days = moment // 86_400_000_000_000 + 719_468  # since 1 March of the year 0
    era = days // 146_097
    day = days - era * 146_097
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    return (era * 400 + year) * 12 + (5 * day + 2) // 153 + 2


@compiled
def by_volume_of_month(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return the sum over the tiers of rate times the part of this fill that falls into them.

    ``params`` is 1 for value or 0 for units, then (start, maker, taker) of each tier; ``state`` is the month and
    what was traded in it.
    """
    bar = market[0]
    value: float = abs(bar["quantity"] * bar["price"] * bar["multiplier"])
    if not np.isfinite(value):  # no price, so no fill: it must not count
        return value
    amount: float = value if params[0] == 1.0 else abs(bar["quantity"])
    # A bar belongs to the month in which it ends; midnight is its end, not the next month's first moment.
    month = month_of(max(bar["bar_start"], bar["event_time"] - 1))
    if month > state[0]:
        state[0] = month
        state[1] = 0.0
    start = state[1]
    end = start + amount
    state[1] = end
    side = 1 if bar["maker"] != 0 else 2
    due = 0.0
    for row in range(1, len(params), 3):
        low = params[row]
        high = params[row + 3] if row + 3 < len(params) else np.inf
        if start >= low and end <= high:
            due += amount * params[row + side]  # not end - start, which is rounded
        elif start < high and end > low:
            due += (min(end, high) - max(start, low)) * params[row + side]
    return due


@dataclass(frozen=True, kw_only=True)
class Tier:
    """One row of the table.

    Attributes:
        start: What was traded in the month where the row begins, units or value, >= 0. Default 0.
        maker: Rate of fills of orders that rested with a limit price; negative for a rebate. No default.
        taker: Rate of all other fills, >= 0. No default.
    """

    start: float = 0.0
    maker: float
    taker: float


class TieredCommission(Commission):
    """Rates that depend on the month's volume so far, for makers and takers.

    Each part of a fill pays the rate of the tier into which it falls, so it does not matter into how many fills
    an order is split. Volume is that of the whole run: all symbols, buys and sells, months in UTC.
    """

    function = staticmethod(by_volume_of_month)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The table.

        Attributes:
            by: Whether volume is counted in ``value`` (rates are fractions of it) or ``units`` (rates are
                currency per unit). No default.
            tiers: Rows with ``start`` (units or value, rising, the first 0), ``maker`` and ``taker``. No default.
        """

        by: Literal["value", "units"]
        tiers: tuple[Tier, ...]

    def __init__(self, config: Config, setup: Setup) -> None:
        _check(config.tiers, setup)
        rows = [value for tier in config.tiers for value in (tier.start, tier.maker, tier.taker)]
        self._params = (1.0 if config.by == "value" else 0.0, *rows)
        unit = "of value" if config.by == "value" else "per unit"
        first, last = config.tiers[0], config.tiers[-1]
        to = f" to {last.maker:g}/{last.taker:g} from {last.start:g} a month" if len(config.tiers) > 1 else ""
        self._phrase = f"maker/taker {first.maker:g}/{first.taker:g}{to} {unit}"

    def initial_state(self) -> NDArray[np.float64]:
        """Return (month, volume of it), float64 (2,): no month yet."""
        return np.array([-1.0, 0.0])


def _check(tiers: tuple[Tier, ...], setup: Setup) -> None:
    where = f"commission model {setup.name}"
    starts = [tier.start for tier in tiers]
    if not starts or starts[0] != 0.0 or not all(a < b for a, b in itertools.pairwise(starts)):
        raise RunFileError(f"tiers of {where} started at {starts}; start the first at 0 and each later one higher")
    for row, tier in enumerate(tiers):
        not_negative(tier.start, f"tiers.{row}.start", setup)
        not_negative(tier.taker, f"tiers.{row}.taker", setup)
        if not np.isfinite(tier.maker):
            raise RunFileError(f"tiers.{row}.maker of {where} was {tier.maker}; give a finite number, < 0 for a rebate")
