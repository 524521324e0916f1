"""Random requests: every kind of order, every time in force, families, amendments, cancels, and bad input."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from .scenario import Amend, Bracket, Cancel, Oco, Place, Request, Step, names_of

NAN = float("nan")
KINDS = ("market", "market", "limit", "limit", "stop", "stop-limit", "trailing", "trailing", "trailing-limit")


@dataclass
class Desires:
    """What a script may ask for.

    Attributes:
        instants: When.
        ticking: Symbols with quotes or trades, which have no open and no close.
        trails_on_grid: Whether percents are used: with ticks a percent would leave the grid.
        made: (instant, name, symbol) of the orders made.
    """

    rng: random.Random
    symbols: tuple[str, ...]
    ticking: frozenset[str]
    step: float
    lot: float
    trails_on_grid: bool
    instants: tuple[int, ...]
    closes: tuple[int, ...]
    made: list[tuple[int, str, str]] = field(default_factory=list)
    count: int = 0

    def name(self) -> str:
        """Return the next name."""
        self.count += 1
        return f"o{self.count - 1}"

    def price(self, away: int = 0, reach: int = 5) -> float:
        """Return a price on the grid around 10; ``away`` 1 or -1 is the side on which it mostly lies."""
        steps = self.rng.randint(-reach, reach)
        return 10.0 + (away * abs(steps) if away and self.rng.random() < 0.75 else steps) * self.step

    def quantity(self) -> float:
        """Return a signed quantity of whole lots."""
        return self.rng.choice((-1, 1, 1)) * self.rng.choice((1, 2, 5, 10, 10, 30)) * self.lot


def random_script(wants: Desires) -> tuple[Step, ...]:
    """Return a script: requests at instants, then what is asked about the orders made, also once they have filled."""
    rng, steps = wants.rng, []
    if not wants.instants:
        return ()
    for at in sorted(rng.choice(wants.instants) for _ in range(rng.randint(1, 7))):
        steps += [Step(at, request) for request in _requests(wants, at)]
    busy = 2.5 if rng.random() < 0.25 else 1.0  # some scripts ask for one thing after the other
    for at, name, symbol in wants.made:
        later = [instant for instant in wants.instants if instant >= at]
        for odds, make in ((0.2, _amendment), (0.06, _resize), (0.14, _cancel), (0.06, _cancel), (0.05, _child)):
            if rng.random() < odds * busy:
                steps.append(Step(rng.choice(later), make(wants, name, symbol)))
        if rng.random() < 0.06 * busy:
            make = rng.choice((_cancel, _amendment, _simple, _child, _small_bracket))
            steps.append(Step(name, make(wants, name, symbol)))
    return tuple(sorted(steps, key=lambda step: step.at if isinstance(step.at, int) else 0))


def _requests(wants: Desires, at: int) -> list[Request]:
    draw = wants.rng.random()
    made: list[Request]
    if draw < 0.2:
        made = [_bracket(wants)]
    elif draw < 0.32:
        made = [_oco(wants, at)]
    elif draw < 0.42:
        parent = _plain(wants, at)
        made = [parent, replace(_plain(wants, at), symbol=parent.symbol, parent=parent.name)]
        if parent.symbol in wants.ticking and made[1].time_in_force in ("OPG", "CLS"):
            made[1] = replace(made[1], time_in_force="GTC")
    elif draw < 0.48:
        return [_bad(wants, at)]
    else:
        made = [_plain(wants, at)]
    for request in made:
        symbol = request.legs[0].symbol if isinstance(request, Oco) else request.symbol
        wants.made += [(at, name, symbol) for name in names_of(request)]
    return made


def _plain(wants: Desires, at: int, kinds: tuple[str, ...] = KINDS) -> Place:
    rng = wants.rng
    kind = rng.choice(kinds)
    order = Place(wants.name(), rng.choice(wants.symbols), wants.quantity(), reduce_only=rng.random() < 0.12)
    side = 1 if order.quantity > 0 else -1
    limit, stop = wants.price(-side), wants.price(side)
    match kind:
        case "limit":
            order = replace(order, limit_price=limit)
        case "stop":
            order = replace(order, stop_price=stop)
        case "stop-limit":
            order = replace(order, limit_price=limit, stop_price=stop)
        case "trailing" | "trailing-limit":
            offset = rng.randint(-2, 2) * wants.step if kind == "trailing-limit" else None
            start = wants.price(side) if rng.random() < 0.2 else None
            order = replace(order, stop_price=start, limit_offset=offset, **_trail(wants))
    return _timed(wants, order, at, plain=kind in ("market", "limit"))


def _trail(wants: Desires) -> dict[str, float]:
    if wants.trails_on_grid and wants.rng.random() < 0.3:
        return {"trail_percent": wants.rng.choice((0.0625, 0.125))}
    return {"trail_amount": wants.rng.randint(1, 4) * wants.step}


def _timed(wants: Desires, order: Place, at: int, *, plain: bool) -> Place:
    rng = wants.rng
    choices = ["GTC", "GTC", "GTC", "DAY", "DAY", "GTD"]
    if plain:
        choices += ["IOC", "FOK"] if order.symbol in wants.ticking else ["IOC", "FOK", "OPG", "CLS"]
    force = rng.choice(choices)
    expires = None
    if force == "GTD":
        later = [instant for instant in (*wants.closes, *wants.instants) if instant > at]
        if not later:
            return order
        expires = rng.choice(later)
    if force == "FOK":
        order = replace(order, reduce_only=False)
    return replace(order, time_in_force=force, expires_at=expires)


def _bracket(wants: Desires) -> Bracket:
    rng, quantity = wants.rng, wants.quantity()
    side = 1 if quantity > 0 else -1
    draw = rng.random()
    limit = wants.price(-side, reach=3) if 0.3 < draw < 0.7 else None
    entry_stop = wants.price(side, reach=3) if draw >= 0.7 else None
    away = rng.randint(0, 4) * wants.step
    bracket = Bracket(
        wants.name(),
        rng.choice(wants.symbols),
        quantity,
        entry_limit=limit,
        entry_stop=entry_stop,
        time_in_force=rng.choice(("GTC", "GTC", "DAY")),
    )
    protection = rng.random()
    if protection < 0.6:
        bracket = replace(bracket, stop_price=10.0 - side * away)
    elif protection < 0.85:
        bracket = replace(bracket, **_trail(wants))
    if protection >= 0.85 or rng.random() < 0.75:
        bracket = replace(bracket, target_price=10.0 + side * rng.randint(0, 4) * wants.step)
    return bracket


def _oco(wants: Desires, at: int) -> Oco:
    rng = wants.rng
    first = replace(_plain(wants, at, ("limit", "stop", "trailing")), time_in_force="GTC", expires_at=None)
    legs = [first]
    for _ in range(rng.choice((1, 1, 2))):
        leg = _plain(wants, at, ("limit", "limit", "stop", "stop-limit", "trailing"))
        quantity = first.quantity if rng.random() < 0.6 else leg.quantity
        force = "DAY" if rng.random() < 0.2 else "GTC"
        leg = replace(leg, symbol=first.symbol, quantity=quantity, time_in_force=force, expires_at=None)
        legs.append(leg)
    return Oco(tuple(legs))


def _bad(wants: Desires, at: int) -> Place:
    rng = wants.rng
    order = replace(_plain(wants, at, ("limit",)), time_in_force="GTC", expires_at=None, reduce_only=False)
    match rng.randrange(10):
        case 0:
            return replace(order, quantity=0.0)
        case 1:
            return replace(order, quantity=rng.choice((NAN, float("inf"))))
        case 2:
            return replace(order, quantity=2e15)
        case 3:
            return replace(order, limit_price=rng.choice((0.0, -1.0)))
        case 4:
            return replace(order, limit_price=rng.choice((NAN, float("inf"))))
        case 5:
            return replace(order, limit_price=None, stop_price=wants.price(), time_in_force=rng.choice(("IOC", "OPG")))
        case 6:
            return replace(order, time_in_force="GTD", expires_at=at - 60)
        case 7:
            return replace(order, limit_price=None, trail_amount=rng.choice((0.0, -0.5)))
        case 8:
            return replace(order, limit_price=None, quantity=-10.0 * wants.lot, trail_percent=1.0)
    return replace(order, client_id="same")


def _amendment(wants: Desires, name: str, symbol: str) -> Amend:
    """New prices, mostly of the kind that most orders have."""
    stop = wants.price() if wants.rng.random() < 0.35 else None
    return Amend(
        name, limit_price=None if stop is not None and wants.rng.random() < 0.7 else wants.price(), stop_price=stop
    )


def _resize(wants: Desires, name: str, symbol: str) -> Amend:
    return Amend(name, quantity=wants.quantity())


def _cancel(wants: Desires, name: str, symbol: str) -> Cancel:
    return Cancel(name)


def _child(wants: Desires, name: str, symbol: str) -> Place:
    """An order that waits for one that may have filled already."""
    limit = wants.price() if wants.rng.random() < 0.7 else None
    return Place(wants.name(), symbol, wants.quantity(), limit_price=limit, parent=name)


def _simple(wants: Desires, name: str, symbol: str) -> Place:
    limit = wants.price() if wants.rng.random() < 0.5 else None
    return Place(wants.name(), symbol, wants.quantity(), limit_price=limit)


def _small_bracket(wants: Desires, name: str, symbol: str) -> Bracket:
    quantity = wants.quantity()
    away = (2 if quantity > 0 else -2) * wants.step
    return Bracket(wants.name(), symbol, quantity, stop_price=10.0 - away, target_price=10.0 + away)
