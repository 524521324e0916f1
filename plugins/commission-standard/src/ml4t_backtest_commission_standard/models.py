"""What a broker charges for a fill, in the currency of the instrument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml4t_backtest_commission_standard.shape import Commission, Floats, Table, compiled, not_negative

if TYPE_CHECKING:
    from ml4t.backtest.interfaces import Setup

__all__ = [
    "NoCommission",
    "PerContractCommission",
    "PerShareCommission",
    "PerTradeCommission",
    "PercentCommission",
]


@compiled
def nothing(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return no commission."""
    return 0.0


@compiled
def per_unit(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return what an order owes for all that it has filled, this fill included, less what it has paid.

    It owes ``params[0]`` a unit and ``params[1]`` once, at least ``params[2]`` and, unless ``params[3]`` is
    negative, at most ``params[3]`` of its value, even where that is below the minimum. The value is taken at the
    price of this fill, as orders keep no sum of their values.
    """
    bar = market[0]
    filled: float = abs(orders[i]["filled"]) + abs(bar["quantity"])
    paid: float = orders[i]["commission"]
    due: float = max(params[2], params[0] * filled + params[1])
    if params[3] >= 0.0:
        due = min(due, params[3] * abs(filled * bar["price"] * bar["multiplier"]))
    # Where the price fell, the maximum may fall below what was paid; nothing is paid back.
    return max(0.0, due - paid)


@compiled
def percent_of_value(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return ``params[0]`` times the value of the fill, and what lacks of the order's minimum ``params[1]``.

    An order that has paid more than the minimum has paid for its value, and goes on so. One that has not is
    taken to have filled all at the price of this fill, as orders keep no sum of their values.
    """
    bar = market[0]
    cost: float = params[0] * abs(bar["quantity"] * bar["price"] * bar["multiplier"])
    paid: float = orders[i]["commission"]
    if params[1] == 0.0 or paid > params[1]:
        return cost
    filled: float = abs(orders[i]["filled"]) + abs(bar["quantity"])
    due: float = max(params[1], params[0] * abs(filled * bar["price"] * bar["multiplier"]))
    return max(0.0, due - paid)


@compiled
def per_trade(orders: Table, i: int, market: Table, params: Floats, state: Floats) -> float:
    """Return ``params[0]`` with the first fill of an order."""
    if orders[i]["filled"] != 0.0:
        return 0.0
    amount: float = params[0]
    return amount


class NoCommission(Commission):
    """Charge nothing."""

    function = staticmethod(nothing)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Nothing to set."""

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = ()


class PerShareCommission(Commission):
    """An amount per share, with bounds for an order (IBKR Pro fixed; zipline's ``PerShare``)."""

    function = staticmethod(per_unit)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Rate, minimum and maximum.

        Attributes:
            rate: Currency per share or unit, >= 0. Default 0.005, as IBKR Pro fixed for US shares.
            minimum: Currency per order, >= 0, charged once however many fills it has. Default 0; IBKR: 1.0.
            maximum: Fraction of the order's value, >= 0, over which it pays nothing, even to reach the minimum.
                Default none; IBKR: 0.01.
        """

        rate: float = 0.005
        minimum: float = 0.0
        maximum: float | None = None

    def __init__(self, config: Config, setup: Setup) -> None:
        rate, minimum = not_negative(config.rate, "rate", setup), not_negative(config.minimum, "minimum", setup)
        maximum = -1.0 if config.maximum is None else not_negative(config.maximum, "maximum", setup)
        self._params = (rate, 0.0, minimum, maximum)
        most = "" if config.maximum is None else f", at most {config.maximum * 100:g} % of its value"
        self._phrase = f"{config.rate:g} per share, at least {config.minimum:g} per order{most}"


class PerContractCommission(Commission):
    """An amount per contract and one per order (zipline's ``PerContract``; backtrader's fixed ``commission``)."""

    function = staticmethod(per_unit)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Rate, fee and minimum.

        Attributes:
            rate: Currency per contract, >= 0. No default.
            fee: Currency per order, >= 0, charged with its first fill (zipline's ``exchange_fee``). Default 0.
            minimum: Currency per order, fee included, >= 0, charged once however many fills it has. Default 0.
        """

        rate: float
        fee: float = 0.0
        minimum: float = 0.0

    def __init__(self, config: Config, setup: Setup) -> None:
        rate, fee = not_negative(config.rate, "rate", setup), not_negative(config.fee, "fee", setup)
        self._params = (rate, fee, not_negative(config.minimum, "minimum", setup), -1.0)
        plus = f" and {config.fee:g} per order" if config.fee else ""
        least = f", at least {config.minimum:g} per order" if config.minimum else ""
        self._phrase = f"{config.rate:g} per contract{plus}{least}"


class PercentCommission(Commission):
    """A fraction of the value traded (backtrader's ``commission``; zipline's ``PerDollar``)."""

    function = staticmethod(percent_of_value)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Rate and minimum.

        Attributes:
            rate: Fraction of ``|quantity * price * multiplier|``, >= 0; 0.001 is 10 bps. No default.
            minimum: Currency per order, >= 0, charged once however many fills it has. Default 0.
        """

        rate: float
        minimum: float = 0.0

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = (not_negative(config.rate, "rate", setup), not_negative(config.minimum, "minimum", setup))
        least = f", at least {config.minimum:g} per order" if config.minimum else ""
        self._phrase = f"{config.rate * 10_000:g} bps of value{least}"


class PerTradeCommission(Commission):
    """An amount per order (zipline's ``PerTrade``)."""

    function = staticmethod(per_trade)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Amount.

        Attributes:
            amount: Currency per order, >= 0, charged with its first fill. No default.
        """

        amount: float

    def __init__(self, config: Config, setup: Setup) -> None:
        self._params = (not_negative(config.amount, "amount", setup),)
        self._phrase = f"{config.amount:g} per order"
