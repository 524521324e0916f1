"""A slow, obvious simulator: the second opinion on every fill, every transition and every row of the ledger.

Written from the pages on orders, matching, costs, accounts, instruments and corporate actions alone; it shares no
code with the engine. Prices and quantities are decimals, one order is looked at at a time, and the words of the page
stand above each piece:

    scenario, terms    what happens in the market and what is asked for
    requests, power    what becomes of a request
    views              which prices an order may take
    prices             at which of them it fills
    matching           who fills first, and how much
    desk               what a fill or an end means for others
    costs              what a fill costs
    accounts, rates    cash and positions, and what a currency is worth
    actions, restating what corporate actions do to positions and to orders
    payments           what holding something costs
    silence            what becomes of a symbol without prices
    sampling           what a session's close comes to
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import isfinite

from . import actions, payments
from .accounts import Entry
from .book import Fill, Order, Transition
from .desk import Desk
from .matching import end_of_session, match_at_the_close, match_row
from .power import judge
from .requests import carry_out
from .sampling import Sample, Sampler, called
from .scenario import Bar, Bracket, Cancel, Place, Quote, Row, Scenario, Step, names_of
from .silence import listen, note_prices
from .views import exact

LIQUIDATION = "liquidation"


@dataclass(frozen=True)
class Outcome:
    """What a run came to: fills, transitions, ledger and equity in order, positions at the end."""

    fills: list[Fill]
    transitions: list[Transition]
    positions: dict[str, Decimal]
    ledger: list[Entry]
    samples: list[Sample]
    calls: list[tuple[int, int]]


def simulate(scenario: Scenario) -> Outcome:
    """Run a scenario."""
    desk, sampler = Desk(scenario), Sampler()
    samples: list[Sample] = []
    calls: list[tuple[int, int]] = []
    opens, closes = ([session[end] for session in scenario.sessions] for end in (0, 1))
    told = 0  # fills that the script has heard of
    instants = _instants(scenario)
    for now in instants:
        desk.now = now
        rows = _rows_at(scenario, now)
        touching = now in opens and now in closes  # rows that end here formed before the session that opens here
        _pay(desk)
        if now in opens:
            actions.pay(desk, opens.index(now))
            if not touching:
                actions.take_effect(desk, opens.index(now))
        for row in rows:
            match_row(desk, row)
            desk.columns.setdefault(row.symbol, len(desk.columns))
        _end_session(desk)
        _mark_all(desk, rows)
        steps = [step for step in scenario.script if step.at == now]
        if now in closes:
            note_prices(desk, closes.index(now))
            silent = listen(desk, closes.index(now))
            found = called(desk)
            calls += [(now, place) for place in found]
            steps = [*_liquidations(desk, found, silent), *steps]
        while True:
            heard, told = desk.fills[told:], len(desk.fills)
            wanted = [*_reactions(desk, scenario.script, heard, told - len(heard)), *steps]
            if not wanted:
                break
            steps = []
            _carry_out(desk, wanted)
            match_at_the_close(desk, rows)
        if now in closes:
            payments.vary(desk.accounts, now)
            actions.expire(desk, desk.accounts, closes.index(now))
            samples.append(sampler.take(desk, closes.index(now)))
        if touching and now < instants[-1]:  # what comes after the last instant does not come
            actions.take_effect(desk, opens.index(now))
    for order in desk.orders:  # "At the end of the run what is still open is cancelled (`end-of-run`)."
        if not order.is_over:
            desk.note(order, "cancelled", order.ends_as if order.asked_to_end else "end-of-run")
    positions = {symbol: holding.quantity for symbol, holding in desk.accounts.holdings.items()}
    return Outcome(desk.fills, desk.transitions, positions, desk.accounts.ledger, samples, calls)


def _instants(scenario: Scenario) -> list[int]:
    rows = {row.end for feed in scenario.feeds for row in feed.rows}
    closes = {close for _, close in scenario.sessions}
    asked = {step.at for step in scenario.script if isinstance(step.at, int)}
    due = {action.pay if end else action.session for action in scenario.actions for end in (0, 1)}
    opens = {scenario.sessions[place][0] for place in due if place is not None and place < len(scenario.sessions)}
    paid = {row.at for account in scenario.accounts for row in account.funding}
    # a run ends with the session of its last row
    last = min(close for close in closes if close >= max(rows))
    return sorted(instant for instant in rows | closes | asked | opens | paid if instant <= last)


def _pay(desk: Desk) -> None:
    """Pay what falls on what was held strictly before an instant."""
    closes = [close for _, close in desk.scenario.sessions]
    held = payments.before(desk.accounts)
    payments.fund(desk.accounts, desk.now, held)
    if desk.now in closes:
        payments.at_a_close(desk.accounts, desk.now, closes.index(desk.now), held)


def _mark_all(desk: Desk, rows: list[Row]) -> None:
    for row in rows:
        if (price := _mark(desk, row)) is not None:
            desk.marks[row.symbol] = price
            desk.marked_at[row.symbol] = row.end


def _liquidations(desk: Desk, called_for: list[int], silent: list[str]) -> list[Step]:
    """Return what margin calls and silence ask for: the ends of orders, then what closes positions.

    "working orders of the account are cancelled as `liquidation`, and every position is closed by a market order"
    """
    poor = [place for place in called_for if desk.scenario.accounts[place].margin_call == "liquidate"]
    ends: list[Step] = []
    under_way: dict[str, Decimal] = {}
    for order in desk.orders:
        if order.is_over or (desk.scenario.account(order.symbol) not in poor and order.symbol not in silent):
            continue
        if order.name.startswith(LIQUIDATION):  # "repeated at the next close ... for what is not under way"
            under_way[order.symbol] = under_way.get(order.symbol, Decimal(0)) + order.side * order.remaining
        elif order.is_open and _is_first_of_its_group(order):  # the rest ends with it
            ends.append(Step(desk.now, Cancel(order.name, LIQUIDATION)))
    closing = []
    for symbol in sorted((symbol for place in poor for symbol in desk.accounts.held(place)), key=desk.column):
        quantity = -desk.accounts.quantity(symbol) - under_way.get(symbol, Decimal(0))
        if quantity and not desk.ended(symbol):
            name = f"{LIQUIDATION} {desk.now} {symbol}"
            closing.append(Step(desk.now, Place(name, symbol, float(quantity), reduce_only=True)))
    return [*ends, *closing]


def _is_first_of_its_group(order: Order) -> bool:
    return all(other.is_over or other.id > order.id for other in order.others)


def _carry_out(desk: Desk, wanted: list[Step]) -> None:
    """Let one round of requests be judged, then carried out."""
    requests = [step.request for step in wanted]
    verdicts = judge(desk, requests)
    desk.refused, desk.cut = verdicts.refused, verdicts.cut
    sizes: dict[str, Decimal] = {}
    for request in requests:
        if isinstance(request, (Place, Bracket)) and isfinite(request.quantity):
            sizes |= dict.fromkeys(names_of(request), abs(Decimal(request.quantity)))
        if isinstance(request, Bracket) and request.name in desk.cut:
            desk.cut |= dict.fromkeys(names_of(request), desk.cut[request.name])
        if isinstance(request, Place) and request.parent in desk.cut and request.parent in sizes:
            # "An entry that a risk manager cuts takes its children with it, to the same part"
            part = desk.whole_lots(sizes[request.name] * desk.cut[request.parent] / sizes[request.parent])
            if part:
                desk.cut[request.name] = part
            else:
                desk.refused[request.name] = "refused-by-risk"
    for place, request in enumerate(requests):
        carry_out(desk, request, verdicts.amendments.get(place, ""))


def _rows_at(scenario: Scenario, now: int) -> list[Row]:
    """Return the rows of an instant "in the order of the feeds and then of symbols"."""
    rows: list[Row] = []
    for feed in scenario.feeds:
        fresh = [row for row in feed.rows if row.end == now]
        rows += sorted(fresh, key=lambda row: row.symbol) if feed.kind == "bar" else fresh
    return rows


def _mark(desk: Desk, row: Row) -> Decimal | None:
    match row:
        case Bar():
            return exact(row.close)
        case Quote():
            return _mid(desk, row)
    return exact(row.price)


def _mid(desk: Desk, quote: Quote) -> Decimal | None:
    """Return the mid, "with the newest other one" where the quote "tells one side only".

    Sides are forgotten once "another feed or an action has changed the mark".
    """
    mark = desk.marks.get(quote.symbol)
    bid, ask, own = desk.sides.get(quote.symbol, (None, None, None))
    if mark is not own and (mark is None or own is None or float(mark) != float(own)):
        bid = ask = None
    bid = exact(quote.bid) if quote.bid is not None else bid
    ask = exact(quote.ask) if quote.ask is not None else ask
    mid = None if bid is None or ask is None else (bid + ask) / 2
    desk.sides[quote.symbol] = bid, ask, mark if mid is None else mid
    return mid


def _reactions(desk: Desk, script: tuple[Step, ...], heard: list[Fill], before: int) -> list[Step]:
    """Return what is asked for because an order filled for the first time."""
    wanted = []
    for place, fill in enumerate(heard, before):
        if all(earlier.order != fill.order for earlier in desk.fills[:place]):
            name = desk.orders[fill.order].name
            wanted += [step for step in script if step.at == name]
    return wanted


def _end_session(desk: Desk) -> None:
    """End what ends with a session, after all matching of its close.

    "Orders expire at the close of their session (DAY, CLS), at their instant (GTD) and with the first bar of
    their session, or its close where there is none (OPG ...)." (matching)
    """
    closes = [close for _, close in desk.scenario.sessions]
    if desk.now not in closes:
        return
    session = closes.index(desk.now)
    ends = [(order, *end) for order in desk.working() if (end := end_of_session(desk, order, session))]
    desk.end_all(ends)
