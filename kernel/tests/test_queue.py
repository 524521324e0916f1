"""Rows between a source's batches and their release."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from ml4t.backtest.core import queue
from ml4t.backtest.core.clock import Clock
from ml4t.backtest.core.sessions import AlwaysOpen, SessionTable
from ml4t.backtest.errors import DataError

START = datetime(2024, 1, 2, tzinfo=UTC)


def frame_of(rows):
    """Rows (minute, symbol) in the order given; the close is the row's number, null for each fifth."""
    return pl.DataFrame(
        {
            "timestamp": [START + timedelta(minutes=minute) for minute, _ in rows],
            "symbol": [symbol for _, symbol in rows],
            "close": [None if number % 5 == 0 else number for number in range(len(rows))],
        },
        schema={"timestamp": pl.Datetime("us", "UTC"), "symbol": pl.String, "close": pl.Int64},
    )


def released(source):
    """Return (instant, symbol id, close) of every row, new symbols, and the most rows of a chunk."""
    days = AlwaysOpen().sessions(date(2024, 1, 1), date(2024, 1, 31))
    rows, names, most = [], [], 0
    for chunk in Clock([source], SessionTable(days, timezone="UTC", name="24/7")).chunks():
        found = chunk.sources[0].rows
        rows += zip(found.known_at.tolist(), found.symbol.tolist(), map(str, found.values[0].tolist()), strict=True)
        names += [(chunk.instants[place], fresh) for place, fresh in sorted(chunk.new_symbols.items())]
        most = max(most, len(found))
    return rows, names, most


# Symbols appear one after another, against the alphabet.
ROWS = [(minute, symbol) for minute in range(40) for symbol in "EDCBA"[: 1 + minute // 9]]


@pytest.mark.parametrize("piece", [1, 2, 7, 50])
def test_frames_are_read_piece_by_piece(kit, monkeypatch, piece):
    """Where a frame is cut changes nothing of what is released, only how much lies in memory."""
    whole = released(kit.Source(frame_of(ROWS), bar="1m", stamp="open"))
    monkeypatch.setattr(queue, "_PIECE", piece)
    rows, names, most = released(kit.Source(frame_of(ROWS), bar="1m", stamp="open"))
    assert whole[:2] == (rows, names)
    assert most <= piece + 5 < whole[2]


def test_an_instant_of_a_whole_batch_is_not_cut(kit, monkeypatch):
    """However many rows it has: a source that promises whole instants is taken at its word."""
    frame = frame_of([(minute, symbol) for minute in range(4) for symbol in "ABCDE"])
    expected = released(kit.Source(frame, bar="1m", stamp="open", batch=5))
    monkeypatch.setattr(queue, "_PIECE", 3)
    source = kit.Source(frame, bar="1m", stamp="open", batch=5)
    source._spec = replace(source.spec, whole=True)
    assert expected[:2] == released(source)[:2]


def test_symbols_of_a_dictionary_are_those_of_its_texts(kit):
    """Categorical and Enum columns may list their symbols in any order."""
    expected = released(kit.Source(frame_of(ROWS), bar="1m", stamp="open"))
    for dtype in (pl.Categorical, pl.Enum(["X", "C", "A", "E", "B", "D"])):
        frame = frame_of(ROWS).with_columns(pl.col("symbol").cast(dtype))
        assert expected == released(kit.Source(frame, bar="1m", stamp="open"))


def test_a_frame_that_goes_back_in_time_is_not_cut(kit, monkeypatch):
    """It is refused as a whole, with the row at which it goes back."""
    monkeypatch.setattr(queue, "_PIECE", 3)
    frame = frame_of([(1, "A"), (2, "A"), (3, "A"), (4, "A"), (2, "B"), (5, "A")])
    with pytest.raises(DataError, match="goes back in time at row 4"):
        released(kit.Source(frame, bar="1m", stamp="open"))
