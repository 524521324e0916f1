"""Rules of calendars."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import ClassVar
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ml4t.backtest.core.sessions import EPOCH_ORDINAL, NO_BREAK, SESSION_DTYPE, SessionTable
from ml4t.backtest.interfaces import Calendar
from ml4t_backtest_testkit.conformance.rules import Conformance

__all__ = ["CalendarConformance"]

_DAY_NS = 86_400_000_000_000


class CalendarConformance(Conformance):
    """Check a calendar; override the fixture ``calendar``.

    Attributes:
        start: First date asked for.
        end: Last date asked for.
    """

    start: ClassVar[date] = date(2020, 1, 1)
    end: ClassVar[date] = date(2021, 12, 31)

    @pytest.fixture
    def calendar(self) -> Calendar:
        """A new calendar."""
        raise NotImplementedError("override the fixture calendar: return a Calendar")

    def test_it_says_its_name_and_zone(self, calendar: Calendar) -> None:
        """TK-C01: it is a Calendar with a name and an IANA zone."""
        assert isinstance(calendar, Calendar)
        assert calendar.name
        assert calendar.timezone == ZoneInfo(calendar.timezone).key

    def test_sessions_are_in_order(self, calendar: Calendar) -> None:
        """TK-C02: labels increase and lie between the dates; sessions end after they begin, without overlap."""
        rows = calendar.sessions(self.start, self.end)
        assert rows.dtype == SESSION_DTYPE
        assert len(rows) > 0
        SessionTable(rows, timezone=calendar.timezone, name=calendar.name)
        assert _label(self.start) <= rows["label"].min()
        assert rows["label"].max() <= _label(self.end)

    def test_parts_make_the_whole(self, calendar: Calendar) -> None:
        """TK-C03: a stretch asked for in two parts has the same sessions."""
        middle = self.start + (self.end - self.start) / 2
        parts = [
            calendar.sessions(self.start, middle),
            calendar.sessions(middle + timedelta(days=1), self.end),
        ]
        assert np.concatenate(parts).tobytes() == calendar.sessions(self.start, self.end).tobytes()

    def test_what_was_handed_out_is_the_callers(self, calendar: Calendar) -> None:
        """TK-C04: writing into an answer, where that is possible, does not change the next one."""
        first = calendar.sessions(self.start, self.end)
        kept = first.copy()
        if first.flags.writeable:
            first["open"] = 0
        assert kept.tobytes() == calendar.sessions(self.start, self.end).tobytes()

    def test_a_session_closes_on_the_day_of_its_label(self, calendar: Calendar) -> None:
        """TK-C05: a session closes on the local day that it is labelled with, or at the midnight that ends it."""
        rows = calendar.sessions(self.start, self.end)
        zone = ZoneInfo(calendar.timezone)
        closes = np.datetime64(0, "ns") + rows["close"].astype("timedelta64[ns]")
        offsets = [_offset_ns(int(close), zone) for close in rows["close"]]
        days = (closes.astype("int64") + np.array(offsets) - 1) // _DAY_NS
        assert rows["label"][days != rows["label"]].tolist() == []

    def test_one_day_can_be_asked_for(self, calendar: Calendar) -> None:
        """TK-C06: a day that is a session has one row, another none."""
        labels = set(calendar.sessions(self.start, self.end)["label"].tolist())
        for day in range(_label(self.start), _label(self.start) + 14):
            label = date.fromordinal(day + EPOCH_ORDINAL)
            assert int(day in labels) == len(calendar.sessions(label, label))

    def test_breaks_lie_inside(self, calendar: Calendar) -> None:
        """TK-C07: a break, where there is one, begins and ends within its session."""
        rows = calendar.sessions(self.start, self.end)
        rows = rows[rows["break_start"] != NO_BREAK]
        times = [rows[name] for name in ("open", "break_start", "break_end", "close")]
        assert all((before <= after).all() for before, after in pairwise(times))


def _label(day: date) -> int:
    return day.toordinal() - EPOCH_ORDINAL


def _offset_ns(instant: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(instant // 1_000_000_000, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) * 1_000_000_000
