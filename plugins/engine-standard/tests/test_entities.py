"""Which company a ticker meant, and when."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.core.sessions import SessionTable, to_ns
from ml4t_backtest_engine_standard.assembly.actions import plan_actions
from ml4t_backtest_engine_standard.assembly.entities import Tickers

DAYS = [f"2024-01-{day:02}" for day in range(1, 21)]


@dataclass(frozen=True)
class Entry:
    symbol: str
    entity: str = ""
    listed_from: date | None = None
    listed_to: date | None = None


def day(number):
    """Return a day of January."""
    return date(2024, 1, number)


def close(number):
    """Return the close of a session, UTC ns."""
    return to_ns(datetime(2024, 1, number, 21, tzinfo=UTC))


@pytest.fixture
def tickers(kit):
    """A function (entries, rows of actions) -> Tickers."""

    def make(entries=(), *rows):
        calendar = kit.Calendar(*((label, f"{label}T14:30+00:00", f"{label}T21:00+00:00") for label in DAYS))
        sessions = SessionTable(calendar.rows, timezone="America/New_York", name="HAND")
        columns = ("symbol", "kind", "ex_date", "new_symbol")
        frame = pl.DataFrame([dict(zip(columns, row, strict=False)) for row in rows], infer_schema_length=None)
        return Tickers(entries, plan_actions(frame, sessions, "actions.0") if rows else [], sessions)

    return make


def who(made, *rows):
    """Return the company of each row (ticker, day) by the first (ticker, day) of the same company."""
    keys = [made.key(ticker, close(number)) for ticker, number in rows]
    return [rows[keys.index(key)] for key in keys]


def test_without_facts_every_ticker_is_one_company(tickers):
    """Whatever rows there are; and nothing has to be looked up."""
    made = tickers([Entry("A"), Entry("B", "b"), Entry("C", listed_from=day(3))])
    assert made.plain
    assert ("X", "X") == (made.key("X", close(3)), made.name("X", close(3)))


def test_a_symbol_change_keeps_the_company(tickers):
    """Before it, the new ticker is somebody else's; after it, the old one is."""
    made = tickers((), ("FB", "symbol-change", day(9), "META"))
    rows = [("FB", 8), ("META", 9), ("META", 20), ("META", 8), ("FB", 9)]
    assert [("FB", 8), ("FB", 8), ("FB", 8), ("META", 8), ("FB", 9)] == who(made, *rows)
    key = made.key("FB", close(8))
    assert ["FB", "META"] == [made.name(key, close(number)) for number in (8, 9)]


def test_a_last_session_does_not_hide_a_symbol_change(tickers):
    """The entry of the old ticker ends the evening before."""
    made = tickers([Entry("FB", listed_to=day(8))], ("FB", "symbol-change", day(9), "META"))
    assert [("FB", 8), ("FB", 8), ("FB", 9)] == who(made, ("FB", 8), ("META", 9), ("FB", 9))


def test_a_delisting_and_a_merger_end_a_company(tickers):
    """Rows of its ticker from then on are another's, called by the ticker; the old one gets its last session."""
    for kind in ("delisting", "merger"):
        columns = {"symbol": ["WM"], "kind": [kind], "ex_date": [day(9)], "amount": [1.0]}
        first = tickers()
        made = Tickers((), plan_actions(pl.DataFrame(columns), first._sessions, ""), first._sessions)
        old, new = made.key("WM", close(8)), made.key("WM", close(9))
        assert old != new
        assert ["WM", "WM"] == [made.name(old, close(20)), made.name(new, close(20))]
        assert "WM (2024-01-08)" == made.former_name(old, "WM")


def test_a_last_session_ends_a_company_with_or_without_an_entity(tickers):
    """And the entity, where it is stated, is what the old column is called by."""
    made = tickers([Entry("A", listed_to=day(8)), Entry("B", "Bee Inc", listed_to=day(8))])
    for ticker, name in (("A", "A (2024-01-08)"), ("B", "B (Bee Inc)")):
        old = made.key(ticker, close(8))
        assert old != made.key(ticker, close(9))
        assert name == made.former_name(old, ticker)


def test_a_first_session_of_an_entity_keeps_strangers_out(tickers):
    """Without an entity it only says from when orders pass."""
    made = tickers([Entry("USO", "US Oil Fund", listed_from=day(10)), Entry("A", listed_from=day(10))])
    assert [("USO", 9), ("USO", 10)] == who(made, ("USO", 9), ("USO", 10))
    assert "US Oil Fund" == made.entity(made.key("USO", close(10)))
    assert "USO (2024-01-09)" == made.former_name(made.key("USO", close(9)), "USO")
    assert [("A", 9), ("A", 9)] == who(made, ("A", 9), ("A", 10))


def test_two_entries_of_a_ticker_say_who_had_it_when(tickers):
    """The day after the one the other may have it."""
    made = tickers([Entry("X", "new", day(9)), Entry("X", "old", None, day(8))])
    assert [("X", 8), ("X", 9), ("X", 9)] == who(made, ("X", 8), ("X", 9), ("X", 20))
    assert ["old", "new"] == [made.entity(made.key("X", close(number))) for number in (8, 9)]


def test_two_tickers_of_an_entity_are_a_symbol_change(tickers):
    """Three of them are two; an action that says the same is not doubled."""
    entries = [Entry("UW", "WM", None, day(4)), Entry("WMI", "WM", day(5), day(9)), Entry("WM", "WM", day(10))]
    made = tickers(entries)
    assert [("UW", 4), ("UW", 4), ("UW", 4), ("WM", 9)] == who(made, ("UW", 4), ("WMI", 5), ("WM", 10), ("WM", 9))
    changes = [(action.kind, action.symbol, action.new_symbol) for action in made.actions]
    assert [("symbol-change", "UW", "WMI"), ("symbol-change", "WMI", "WM")] == changes
    key = made.key("UW", close(1))
    assert ["UW", "UW", "WMI", "WM"] == [made.name(key, close(number)) for number in (1, 4, 5, 10)]
    assert 2 == len(tickers(entries, ("UW", "symbol-change", day(5), "WMI")).actions)


def test_a_ticker_passes_on_in_the_instant_in_which_it_is_given_up(tickers):
    """GOOG becomes GOOGL while GOOCV becomes GOOG: each keeps its own, whatever the order of the rows."""
    rows = (("GOOG", "symbol-change", day(9), "GOOGL"), ("GOOCV", "symbol-change", day(9), "GOOG"))
    for order in (rows, rows[::-1]):
        made = tickers((), *order)
        asked = [("GOOG", 8), ("GOOGL", 9), ("GOOCV", 8), ("GOOG", 9)]
        assert [("GOOG", 8), ("GOOG", 8), ("GOOCV", 8), ("GOOCV", 8)] == who(made, *asked)


def test_a_ticker_may_be_used_again_and_again(tickers):
    """Each time it is another company, save where an entity says that it is the same."""
    made = tickers((), ("A", "delisting", day(4)), ("A", "delisting", day(8)))
    assert [("A", 3), ("A", 5), ("A", 9)] == who(made, ("A", 3), ("A", 5), ("A", 9))
    assert "A (2024-01-07)" == made.former_name(made.key("A", close(5)), "A")
    made = tickers([Entry("A", "a", None, day(3)), Entry("A", "a", day(8))])
    assert [("A", 3), ("A", 5), ("A", 3)] == who(made, ("A", 3), ("A", 5), ("A", 9))


def test_rows_are_identified_in_bulk(tickers):
    """A row of the very instant is still the earlier company's; other tickers stay as they are, in any type."""
    made = tickers((), ("A", "delisting", day(4)), ("C", "symbol-change", day(6), "B"))
    edge = to_ns(datetime(2024, 1, 4, 14, 30, tzinfo=UTC))
    rows = [("A", edge), ("Z", edge), ("A", edge + 1), ("B", close(6)), ("B", close(5)), ("A", close(3))]
    rows.append(("C", close(6)))
    expected = [made.key(ticker, instant) for ticker, instant in rows]
    assert 6 == len(set(expected))
    times = np.array([instant for _, instant in rows])
    for dtype in (pl.String, pl.Categorical, pl.Enum(["Z", "C", "B", "A"])):
        symbols = pl.Series("symbol", [ticker for ticker, _ in rows], dtype=dtype)
        assert expected == made.identify(symbols, times).to_list()
    trades = made.identify(pl.Series("symbol", ["A", "A"]), np.array([edge - 1, edge]), ends=False)
    assert [made.key("A", edge), made.key("A", edge + 1)] == trades.to_list()
    others = pl.Series("symbol", ["Y", "Z"])
    assert others is made.identify(others, times[:2])
