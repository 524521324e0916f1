"""The simulator's books, and what the end or the fill of one order does to others.

Quotations are from the page on orders where nothing else is said.
"""

from __future__ import annotations

from decimal import Decimal

from .accounts import Accounts, Entry
from .book import Fill, Order, Transition
from .prices import trailed
from .rates import Rates
from .scenario import Row, Scenario
from .views import OPEN

NEVER = 10**12


class Desk:
    """Everything that one run knows.

    Attributes:
        now: The instant.
        accounts: Cash and positions.
        marks: Last known price by symbol.
        marked_at: When that price formed.
        newest: The newest row of each symbol.
        sides: The newest bid and ask of each symbol, and its mark when they came.
        gone: Symbols that were delisted or have expired.
        due: (session, ledger row) of cash that is paid at the open of that session.
        priced: Sessions that have a price of each symbol.
        silent: Symbols whose last price is too old.
        columns: Place of each symbol in the order in which rows named them.
        refused, cut: What buying power said about the orders of a round, by name.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.rules = scenario, scenario.rules
        self.now = 0
        self.orders: list[Order] = []
        self.by_name: dict[str, Order] = {}
        self.client_ids: set[str] = set()
        self.marks: dict[str, Decimal] = {}
        self.marked_at: dict[str, int] = {}
        self.accounts = Accounts(scenario, self.marks, Rates(scenario, self.marks))
        self.gone: set[str] = set()
        self.due: list[tuple[int, Entry]] = []
        self.priced: dict[str, list[int]] = {}
        self.silent: set[str] = set()
        self.columns: dict[str, int] = {}
        self.refused: dict[str, str] = {}
        self.cut: dict[str, Decimal] = {}
        self.newest: dict[str, Row] = {}
        self.sides: dict[str, tuple[Decimal | None, Decimal | None, Decimal | None]] = {}
        self.transitions: list[Transition] = []
        self.fills: list[Fill] = []
        self.lot = Decimal(scenario.instrument.lot or 1)

    def note(self, order: Order, status: str, reason: str = "") -> None:
        """Write a transition down; the order is then in that state."""
        order.status = status
        self.transitions.append(Transition(self.now, order.id, status, reason))

    def answer(self, order: Order, reason: str) -> None:
        """Refuse a cancel or an amendment: "leaves it as it is and is recorded as a row `refused`"."""
        self.transitions.append(Transition(self.now, order.id, "refused", reason))

    def working(self, symbol: str | None = None) -> list[Order]:
        """Return what may fill, oldest first."""
        return [each for each in self.orders if each.is_open and symbol in (None, each.symbol)]

    def column(self, symbol: str) -> int:
        """Return the place of a symbol among all."""
        return self.columns.get(symbol, len(self.columns))

    def ended(self, symbol: str) -> str:
        """Return why a symbol cannot be traded now, empty where it can.

        "an order on a symbol before the open of the first or after the close of the last is refused as `not-listed`"
        (instruments)
        """
        if symbol in self.gone:
            return "delisted"
        if symbol in self.silent:
            return "mark-too-old"
        listing, sessions = self.scenario.listing(symbol), self.scenario.sessions
        early = listing.listed_from is not None and self.now < sessions[listing.listed_from][0]
        late = listing.listed_to is not None and self.now > sessions[listing.listed_to][1]
        return "not-listed" if early or late else ""

    def whole_lots(self, quantity: Decimal) -> Decimal:
        """Cut a size to lots."""
        return quantity // self.lot * self.lot

    def session_of(self, instant: int) -> int:
        """Return the place of the session that an instant belongs to: the first that closes at or after it."""
        closes = [close for _, close in self.scenario.sessions]
        return next((place for place, close in enumerate(closes) if close >= instant), len(closes))

    def allowed(self, order: Order) -> Decimal:
        """Return how much an order may still fill by what its parent has filled.

        "as much of them may fill as the entry has filled (its part, truncated to lots)"
        """
        if order.parent is None:
            return order.remaining
        others = sum((each.filled for each in order.others), Decimal(0))
        return min(order.remaining, max(Decimal(0), self.part(order) - order.filled - others))

    def part(self, order: Order) -> Decimal:
        """Return a child's part of what its parent has filled."""
        parent = order.parent
        assert parent is not None
        if parent.filled >= parent.size:
            return order.original
        return self.whole_lots(order.original * parent.filled / parent.size)

    def end(self, order: Order, status: str, reason: str) -> None:
        """End an order, and what has to end with it."""
        self.note(order, status, reason)
        self.cascade(order, reason)

    def end_all(self, ends: list[tuple[Order, str, str]]) -> None:
        """End orders that end together; only then what has to end with them."""
        for order, status, reason in ends:
            self.note(order, status, reason)
        for order, _, reason in ends:
            self.cascade(order, reason)

    def cascade(self, order: Order, reason: str) -> None:
        """End what has to end with an order that has ended."""
        for child in order.children:
            if not child.is_over:
                self._parent_ended(order, child)
        if reason not in ("one-cancels-other", "parent-ended"):
            # "When one leg is cancelled, expires or is refused, the others are cancelled."
            for other in order.others:
                if not other.is_over and other.status != "pending":
                    self.end(other, "cancelled", "one-cancels-other")

    def _parent_ended(self, parent: Order, child: Order) -> None:
        # "When an entry ends partly filled its children are cut to that part; when it ends unfilled they are
        # cancelled (`parent-ended`)."
        kept = self.allowed(child) if parent.filled else Decimal(0)
        if kept <= 0:
            self.end(child, "cancelled", "parent-ended")
        elif kept < child.remaining:
            child.size = child.filled + kept
            self.note(child, child.status, "parent-ended")

    def after_fill(self, order: Order, quantity: Decimal, reference: Decimal, phase: int, formed_at: int) -> None:
        """Let a fill change the rest of its group, and its children."""
        for other in order.others:
            if other.is_over:
                continue
            # "A fill of one takes its absolute quantity off what the others have left; what is left with
            # nothing is cancelled (`one-cancels-other`)."
            if other.amended_at is not None and formed_at >= other.amended_at:
                other.adopt()  # "by the terms that held when its price formed" (orders)
            if other.remaining > quantity:
                other.size -= quantity
                if "size" in other.pending:
                    other.pending["size"] -= quantity
                self.note(other, other.status, "one-cancels-other")
            else:
                self.end(other, "cancelled", "one-cancels-other")
        for child in order.children:
            if child.status == "held":
                self.release(order, child, (reference, phase), formed_at)
            elif child.is_open and (phase != OPEN or self.rules.children == "next-bar"):
                # "Where an entry that had filled in part before fills further after the open of a bar, its
                # children do not fill in the rest of that bar; at the open they see all of it." (matching)
                child.done = True

    def settle_session(self, order: Order) -> None:
        """Fix the session of an order that is for an open or a close."""
        sessions = self.scenario.sessions
        if order.time_in_force == "OPG":  # "the first whose open is at or after `from`"
            later = [place for place, (opens, _) in enumerate(sessions) if opens >= order.begins]
            order.day = later[0] if later else len(sessions)
            order.opening = sessions[later[0]][0] if later else NEVER
        elif order.time_in_force == "CLS":  # "of the first session that closes after `from`"
            later = [place for place, (_, close) in enumerate(sessions) if close > order.begins]
            order.day = later[0] if later else len(sessions)
            order.closing = sessions[later[0]][1] if later else NEVER

    def release(self, parent: Order, child: Order, event: tuple[Decimal, int], formed_at: int) -> None:
        """Let a held order work.

        "An order of a bracket or of `parent=` is submitted when its parent fills." (matching)
        """
        child.submitted_at = child.begins = formed_at
        child.released = child.was_held = True
        child.events = [*parent.events, event]  # what its own trigger has left of the bar, the child sees at most
        if child.trails and child.level is None:
            child.level = trailed(child, event[0])
        self.settle_session(child)
        # "A child that is a market order waits for the next bar." "With `children = "next-bar"` the children of
        # an entry see nothing of this bar." (matching)
        child.done = child.kind == "market" or self.rules.children == "next-bar"
        self.note(child, "accepted", "parent-filled")
