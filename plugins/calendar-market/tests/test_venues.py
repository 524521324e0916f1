"""Ten venues, twenty years: each open, close, half day and break against the library and the rules of the zone."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas_market_calendars as market_calendars
import pytest

from ml4t.backtest.core.sessions import EPOCH_ORDINAL, NO_BREAK
from ml4t_backtest_calendar_market import MarketCalendar

VENUES = ("XNYS", "XAMS", "XLON", "XETR", "XPAR", "XTKS", "XHKG", "XASX", "CMES", "CME_Equity")
FIRST, LAST = date(2005, 1, 1), date(2024, 12, 31)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Return the sessions of a venue over the twenty years; each is computed once."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML4T_BACKTEST_CACHE", str(tmp_path_factory.mktemp("cache")))

        def of(name):
            if name not in found:
                calendar = MarketCalendar(MarketCalendar.Config(name=name))
                found[name] = calendar.sessions(FIRST, LAST), ZoneInfo(calendar.timezone)
            return found[name]

        yield of


def moment(instant: int, zone: ZoneInfo) -> datetime:
    return (EPOCH + timedelta(seconds=int(instant) // 10**9)).astimezone(zone)


def day(label: int) -> date:
    return date.fromordinal(int(label) + EPOCH_ORDINAL)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", VENUES)
def test_every_session_is_the_librarys_asked_year_by_year(sessions, name):
    """Opens, closes and breaks of 5,000 sessions, as the library's own columns and its list of early closes say."""
    found, _ = sessions(name)
    library = market_calendars.get_calendar(name)
    place = early = 0
    for year in range(FIRST.year, LAST.year + 1):
        schedule = library.schedule(f"{year}-01-01", f"{year}-12-31", tz="UTC")
        part = found[place : place + len(schedule)]
        place += len(schedule)
        assert schedule.index.strftime("%Y-%m-%d").to_list() == [day(label).isoformat() for label in part["label"]]
        for field, column in (("open", "market_open"), ("close", "market_close")):
            assert [int(stamp.timestamp()) * 10**9 for stamp in schedule[column]] == part[field].tolist()
        early += len(library.early_closes(schedule))
        if "break_start" in schedule:
            for row, (begin, end) in zip(
                part, schedule[["break_start", "break_end"]].itertuples(index=False), strict=True
            ):
                if row["break_start"] != NO_BREAK:
                    asked = int(begin.timestamp()) * 10**9, int(end.timestamp()) * 10**9
                    assert asked == (row["break_start"], row["break_end"])
                else:
                    assert not begin < end or int(end.timestamp()) * 10**9 >= row["close"]
    assert len(found) == place > 4800
    assert (early > 0) == (name not in ("XTKS",))


@pytest.mark.parametrize(
    ("name", "opens", "closes"),
    [
        ("XNYS", {time(9, 30)}, {time(16), time(13)}),
        ("XAMS", {time(9)}, {time(17, 30), time(14), time(14, 5)}),
        ("XLON", {time(8)}, {time(16, 30), time(12, 30)}),
        ("XHKG", {time(9, 30), time(10)}, {time(16), time(12), time(12, 30)}),
        ("XTKS", {time(9)}, {time(15), time(15, 30)}),
        ("CME_Equity", {time(17), time(15, 30)}, {time(16), time(15, 15), time(12), time(12, 15), time(8, 15)}),
    ],
)
def test_local_times_of_the_day_never_move_with_the_clocks(sessions, name, opens, closes):
    """Whatever UTC says: daylight saving changes neither open nor close, break nor half day."""
    found, zone = sessions(name)
    starts = {moment(instant, zone).time() for instant in found["open"]}
    ends = {moment(instant, zone).time() for instant in found["close"]}
    assert set() == starts - opens
    assert set() == ends - closes
    resting = found[found["break_start"] != NO_BREAK]
    breaks = {(moment(row["break_start"], zone).time(), moment(row["break_end"], zone).time()) for row in resting}
    expected = {
        "XHKG": {(time(12), time(13)), (time(12, 30), time(14, 30)), (time(12), time(13, 30))},
        "CME_Equity": {(time(15, 15), time(15, 30))},
        "XTKS": {(time(11, 30), time(12, 30)), (time(11), time(12, 30))},
    }
    assert set() == breaks - expected.get(name, set())


def test_the_us_and_europe_disagree_in_some_weeks_of_each_year(sessions):
    """Since 2007 New York is an hour nearer to London for two or three weeks of March and one of autumn."""
    york, london = (
        dict(zip(found["label"].tolist(), found["open"].tolist(), strict=True))
        for found, _ in map(sessions, ("XNYS", "XLON"))
    )
    gaps = {day(label): (york[label] - london[label]) / 3600e9 for label in york.keys() & london.keys()}
    assert {5.5, 6.5} == {gap for label, gap in gaps.items() if label.year >= 2007}
    odd = {label for label, gap in gaps.items() if gap == 5.5 and label.year >= 2007}

    def sunday(year, month, number):
        days = [date(year, month, 1) + timedelta(days=shift) for shift in range(31)]
        return [each for each in days if each.month == month and each.weekday() == 6][number]

    spans = [
        span
        for year in range(2007, 2025)
        for span in (
            (sunday(year, 3, 1), sunday(year, 3, -1)),
            (sunday(year, 10, -1), sunday(year, 11, 0)),
        )
    ]
    assert odd == {each for each in gaps if any(begin < each < end for begin, end in spans)}
    assert len(odd) > 18 * 14


def test_overnight_sessions_follow_one_another_without_overlap(sessions):
    """Chicago's futures: each opens the evening before its own day, at the earliest when the last one has closed."""
    for name in ("CMES", "CME_Equity"):
        found, zone = sessions(name)
        for row in found:
            assert moment(row["open"], zone).date() < day(row["label"]) == moment(row["close"], zone).date()
        assert bool(np.all(found["open"][1:] >= found["close"][:-1]))


def test_days_without_end_have_no_gap():
    """24/7: each UTC day from midnight to midnight."""
    found = MarketCalendar(MarketCalendar.Config(name="24/7")).sessions(FIRST, LAST)
    assert (LAST - FIRST).days + 1 == len(found)
    assert found["open"][1:].tolist() == found["close"][:-1].tolist()
    assert {0} == set((found["open"] % (86400 * 10**9)).tolist())
