"""Calendars of exchanges: right sessions, kept well, at little cost."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.core.sessions import EPOCH_ORDINAL, NO_BREAK, SESSION_DTYPE, SessionTable
from ml4t.backtest.errors import DataError
from ml4t_backtest_calendar_market import MarketCalendar
from ml4t_backtest_calendar_market import plugin as plugin_module

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]
WINDOW = (date(2023, 12, 28), date(2024, 7, 8))


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("ML4T_BACKTEST_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def answers() -> pl.DataFrame:
    """Sessions of five calendars as another project's tests know them."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", ROOT.parent / "shared"))
    path = shared / "data" / "calendar_sessions.parquet"
    if not path.is_file():
        pytest.skip(f"needs the table of sessions {path.name}; set ML4T_BACKTEST_SHARED")
    times = pl.col("open", "close", "break_start", "break_end").dt.epoch("ns")
    return pl.read_parquet(path).with_columns(times.fill_null(NO_BREAK))


def calendar(name: str) -> MarketCalendar:
    return MarketCalendar(MarketCalendar.Config(name=name))


def instant(number: int) -> datetime:
    return EPOCH + timedelta(microseconds=int(number) // 1000)


def row(name: str, day: date) -> dict[str, datetime]:
    (session,) = calendar(name).sessions(day, day)
    return {field: instant(session[field]) for field in ("open", "close", "break_start", "break_end")}


def files(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.npz"))


@pytest.mark.parametrize("name", ["XNYS", "XLON", "XHKG", "CMES", "24/7"])
def test_sessions_are_those_of_the_published_tables(answers, name):
    """Holidays, half days, lunch breaks and daylight saving, each row of decades.

    One difference: CMES there closes at noon on Juneteenth from 2022 on; in pandas-market-calendars it
    does not.
    """
    expected = answers.filter(pl.col("calendar") == name.replace("/", "-")).sort("session")
    sessions = calendar(name).sessions(expected["session"][0], expected["session"][-1])
    got = pl.DataFrame({field: sessions[field] for field in SESSION_DTYPE.names})
    expected = expected.select(pl.col("session").to_physical().cast(pl.Int64).alias("label"), *SESSION_DTYPE.names[1:])
    assert expected["label"].to_list() == got["label"].to_list()
    different = expected.filter(pl.any_horizontal(expected[field] != got[field] for field in got.columns))
    labels = [date.fromordinal(label + EPOCH_ORDINAL) for label in different["label"]]
    juneteenths = [date(year, 6, {2022: 20, 2027: 18}.get(year, 19)) for year in range(2022, 2028)]
    assert (juneteenths if name == "CMES" else []) == labels


@pytest.mark.parametrize("name", ["XNYS", "XLON", "XHKG", "XTKS", "CMES", "CME_Equity", "XKRX", "24/7"])
def test_sessions_make_a_table(name):
    """In order, without overlap, breaks inside their session."""
    sessions = calendar(name).sessions(date(1995, 1, 1), date(2030, 12, 31))
    table = SessionTable(sessions, timezone=calendar(name).timezone, name=name)
    breaks = table.data[table.data["break_start"] != NO_BREAK]
    assert bool((breaks["open"] < breaks["break_start"]).all() and (breaks["break_end"] < breaks["close"]).all())
    assert bool((breaks["break_start"] < breaks["break_end"]).all())


def test_half_past_nine_in_new_york_is_13_30_or_14_30_utc():
    """On each of 8,324 sessions, as the zone's rules say for that day."""
    sessions = calendar("XNYS").sessions(date(1990, 1, 1), date(2023, 1, 13))
    assert 8324 == len(sessions)
    zone = ZoneInfo("America/New_York")
    for label, opens in zip(sessions["label"].tolist(), sessions["open"].tolist(), strict=True):
        local = datetime.combine(date.fromordinal(label + EPOCH_ORDINAL), datetime.min.time(), zone)
        assert local.replace(hour=9, minute=30) == instant(opens)
        assert (instant(opens).hour, instant(opens).minute) in ((13, 30), (14, 30))


def test_opens_follow_the_weeks_in_which_america_and_europe_disagree():
    """In March 2024 New York changed its clocks three weeks before London."""
    hours = [
        (row(name, day)["open"].hour) for name in ("XNYS", "XLON") for day in (date(2024, 3, 8), date(2024, 3, 12))
    ]
    assert [14, 13, 8, 8] == hours
    assert (13, 7) == (row("XNYS", date(2024, 4, 2))["open"].hour, row("XLON", date(2024, 4, 2))["open"].hour)


def test_a_half_day_closes_early_and_a_holiday_is_no_session():
    """New York closed at 13:00 on 3 July 2024, and all day on the fourth."""
    assert datetime(2024, 7, 3, 17, tzinfo=UTC) == row("XNYS", date(2024, 7, 3))["close"]
    assert 0 == len(calendar("XNYS").sessions(date(2024, 7, 4), date(2024, 7, 4)))


def test_lunch_is_a_break_except_on_half_days():
    """Hong Kong rests from 12:00 to 13:00, and goes home at noon on Christmas Eve."""
    whole, half = row("XHKG", date(2024, 7, 3)), row("XHKG", date(2024, 12, 24))
    assert (4, 5) == (whole["break_start"].hour, whole["break_end"].hour)
    assert (4, instant(NO_BREAK)) == (half["close"].hour, half["break_start"])


def test_breaks_that_an_exchange_gave_up_are_left_out():
    """Seoul has traded through lunch since 22 May 2000; the library warns, but still lists the breaks."""
    sessions = calendar("XKRX").sessions(date(2000, 5, 19), date(2000, 5, 22))
    assert [False, True] == (sessions["break_start"] == NO_BREAK).tolist()


def test_overnight_sessions_begin_the_day_before():
    """A session of CMES is named after the day on which it ends."""
    assert datetime(2024, 7, 1, 22, tzinfo=UTC) == row("CMES", date(2024, 7, 2))["open"]


def test_both_ends_of_a_window_count():
    """Start and end are labels, included; whole years are kept, the window is cut out."""
    sessions = calendar("XNYS").sessions(date(2024, 7, 2), date(2024, 7, 5))
    labels = [date.fromordinal(label + EPOCH_ORDINAL).day for label in sessions["label"].tolist()]
    assert [2, 3, 5] == labels


def test_an_unknown_calendar_is_refused_with_what_is_near():
    """One clear error, nothing cached."""
    with pytest.raises(DataError, match=r'pandas-market-calendars has no calendar "XNYSE"; did you mean .*XNYS'):
        calendar("XNYSE").sessions(*WINDOW)
    with pytest.raises(DataError, match='write an exchange code such as "XNYS"'):
        calendar("//////").sessions(*WINDOW)


def test_a_window_that_ends_before_it_begins_is_refused():
    """So is one of years that no calendar is meant for."""
    for start, end in ((WINDOW[1], WINDOW[0]), (date(1600, 1, 1), WINDOW[1])):
        with pytest.raises(DataError, match="is no window within 1900 to 2100"):
            calendar("XNYS").sessions(start, end)


def test_a_kept_table_is_the_table(cache):
    """What is read back equals what was computed, zone included."""
    computed = calendar("XHKG").sessions(*WINDOW)
    assert 1 == len(files(cache))
    assert computed.tolist() == calendar("XHKG").sessions(*WINDOW).tolist()
    assert ("Asia/Hong_Kong", "XHKG") == (calendar("XHKG").timezone, calendar("XHKG").name)
    assert 1 == len(files(cache))


def test_any_window_of_the_same_years_shares_a_file(cache):
    """And no half-written file is left beside it."""
    calendar("24/7").sessions(*WINDOW)
    calendar("24/7").sessions(date(2023, 1, 1), date(2024, 12, 31))
    (path,) = files(cache)
    assert "24%2F7-2023-2024.npz" == path.name
    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize("damage", ["torn", "empty", "flipped", "foreign", "text"])
def test_a_damaged_table_is_computed_again(cache, damage):
    """A crash, a full disk or a bad block costs time, not a result."""
    expected = calendar("XNYS").sessions(*WINDOW)
    (path,) = files(cache)
    whole = path.read_bytes()
    middle = len(whole) // 2
    if damage == "foreign":
        calendar("XLON").sessions(*WINDOW)
        whole = next(other for other in files(cache) if other != path).read_bytes()
    path.write_bytes(
        {
            "torn": whole[:middle],
            "empty": b"",
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "foreign": whole,
            "text": b"not a table",
        }[damage]
    )
    assert expected.tolist() == calendar("XNYS").sessions(*WINDOW).tolist()
    assert "America/New_York" == calendar("XNYS").timezone
    with np.load(path) as file:
        assert "XNYS" == file["timezone"][0]


WARM = """
import sys
from datetime import date
from ml4t_backtest_calendar_market import MarketCalendar
calendar = MarketCalendar(MarketCalendar.Config(name="XNYS"))
sessions = calendar.sessions(date(2023, 12, 28), date(2024, 7, 8))
print(calendar.timezone, len(sessions), "pandas" in sys.modules)
"""


def test_a_warm_run_loads_no_pandas(cache):
    """Not even to ask for the zone."""
    runs = [
        subprocess.run([sys.executable, "-c", WARM], capture_output=True, text=True, check=True, timeout=60).stdout
        for _ in range(2)
    ]
    assert ["America/New_York 131 True\n", "America/New_York 131 False\n"] == runs


def test_an_unwritable_cache_costs_time_only(cache, monkeypatch):
    """The table is computed, and kept in a temporary folder."""
    (cache / "file").write_text("in the way")
    monkeypatch.setenv("ML4T_BACKTEST_CACHE", str(cache / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(cache))
    assert 131 == len(calendar("XNYS").sessions(*WINDOW))


def test_the_plugin_offers_market():
    """By the name that a run file uses, and as a class of this distribution."""
    assert {
        "market": "ml4t_backtest_calendar_market.calendar:MarketCalendar"
    } == plugin_module.ml4t_register_calendars()
    assert "calendar-market" == plugin_module.MANIFEST.name
