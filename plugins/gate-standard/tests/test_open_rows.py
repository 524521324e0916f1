"""From the columns of an input to the checked rows of a source, in time order."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import FeedConfig, SignalConfig, Window
from ml4t_backtest_gate_standard.rows import open_rows

DAYS = [date(2024, 1, 2), date(2024, 1, 3)]
NS = 1_000_000_000


def bars():
    """Return bars of A and B over two days, sorted by symbol."""
    closes = [10.0, 11.0, 20.0, 21.0]
    return pl.DataFrame({"symbol": ["A", "A", "B", "B"], "timestamp": DAYS * 2, "close": closes})


def read(frame, config=None, window=None, **options):
    """Open a frame with the settings of a feed."""
    return open_rows(
        frame.lazy(), config or FeedConfig(), window or Window(), name="prices", origin="prices.parquet", **options
    )


def refused(frame, config=None, window=None, **options):
    """Return what is said of a frame that cannot be used."""
    with pytest.raises(DataError) as caught:
        read(frame, config, window, **options)
    return list(caught.value.problems)


def instant(*parts):
    """Return a UTC instant in ns."""
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * NS


def test_rows_come_in_time_order():
    """A file sorted by symbol is sorted by time, and symbols stay as they were inside a stamp."""
    rows = read(bars())
    batches = list(rows.batches())
    assert 1 == len(batches)
    assert [10.0, 20.0, 11.0, 21.0] == batches[0]["close"].to_list()
    assert ("bar", ("close",), "label") == (rows.spec.kind, rows.spec.fields, rows.spec.rule.convention)


def test_rows_that_go_back_are_sorted_where_asked():
    """Shuffled rows give the same rows as sorted ones."""
    shuffled = bars()[[3, 0, 2, 1]]
    assert 1 == len(refused(shuffled))
    (batch,) = read(shuffled, FeedConfig(sort=True)).batches()
    assert batch.equals(bars().sort("timestamp", "symbol"))


def test_ticks_keep_the_order_of_the_source_inside_a_stamp():
    """The order of prints of one instant is information."""
    stamps = [datetime(2024, 1, 2, 10, second, tzinfo=UTC) for second in (1, 1, 0, 0)]
    frame = pl.DataFrame({"symbol": list("BBAA"), "event_time": stamps, "price": [4.0, 3.0, 2.0, 1.0]})
    rows = read(frame, FeedConfig(latency="0s"))
    (batch,) = rows.batches()
    assert ("trade", "event_time") == (rows.spec.kind, rows.spec.rule.convention)
    assert [2.0, 1.0, 4.0, 3.0] == batch["price"].to_list()


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("keys", [["timestamp", "symbol"], ["symbol", "timestamp"]])
def test_batches_of_any_size_hold_the_same_rows(batch_rows, keys):
    """A batch may end anywhere; an input not in time order is read at once, and a note says so."""
    rows = read(bars().sort(keys), FeedConfig(batch_rows=batch_rows, prices="raw"))
    batches = list(rows.batches())
    assert bars().sort("timestamp", "symbol").equals(pl.concat(batches))
    assert max(map(len, batches)) <= batch_rows
    said = ("prices.parquet: rows are not in time order, so that they were read at once",)
    assert (() if keys[0] == "timestamp" else said) == rows.notes


@pytest.mark.parametrize("batch_rows", [0, 1])
def test_what_is_wrong_in_any_batch_is_said(batch_rows):
    """Faults do not depend on batches."""
    frame = bars().sort("timestamp", "symbol").with_columns(close=pl.Series([1.0, 2.0, -3.0, 4.0]))
    (problem,) = refused(frame, FeedConfig(batch_rows=batch_rows))
    assert problem.startswith("prices.parquet row 2 (A, 2024-01-03): close is not above zero; ")


def test_columns_are_mapped_by_the_settings():
    """The run's names are canonical, whatever the file calls its columns."""
    frame = bars().rename({"symbol": "code", "timestamp": "day", "close": "adj"}).with_columns(close=pl.lit(1.0))
    config = FeedConfig(columns={"symbol": "code", "timestamp": "day", "close": "adj"}, prices="total")
    rows = read(frame, config)
    (batch,) = rows.batches()
    assert (["symbol", "timestamp", "close"], ()) == (batch.columns, rows.notes)
    assert [10.0, 20.0, 11.0, 21.0] == batch["close"].to_list()


@pytest.mark.parametrize("symbol", ["asset", "ticker", "Symbol"])
@pytest.mark.parametrize("time", ["date", "datetime", "time", "Date"])
def test_usual_names_are_taken_and_noted(symbol, time):
    """Where exactly one column can be meant, it is meant."""
    frame = bars().rename({"symbol": symbol, "timestamp": time, "close": "Close"})
    rows = read(frame, FeedConfig(prices="raw"))
    pairs = f"{symbol} for symbol, {time} for timestamp, Close for close"
    assert (f"prices.parquet: columns are taken: {pairs}",) == rows.notes


def test_two_columns_that_may_be_meant_are_not_guessed_between():
    """A date and a time in two columns are not one stamp."""
    frame = bars().rename({"timestamp": "date"}).with_columns(time=pl.col("date"))
    expected = (
        "prices.parquet: no column timestamp; it has symbol, date, close, time; add to this source\n"
        '    columns = { timestamp = "time" }'
    )
    assert [expected] == refused(frame)


def test_a_missing_column_is_named_with_the_nearest_and_the_line_that_maps_it():
    """The line can be pasted."""
    frame = bars().rename({"close": "clse", "symbol": "code"})
    expected = [
        "prices.parquet: no column symbol; it has code, timestamp, clse; add to this source\n"
        '    columns = { symbol = "its name there" }\n'
        '    or, where there is one symbol only, symbol = "ITS NAME"',
        "prices.parquet: no column close; it has code, timestamp, clse; add to this source\n"
        '    columns = { close = "clse" }',
    ]
    assert expected == refused(frame)


def test_of_many_columns_the_first_are_listed():
    """A message is for reading."""
    frame = bars().drop("close").with_columns(pl.lit(1.0).alias(f"x{number}") for number in range(100))
    (problem,) = refused(frame)
    assert "it has symbol, timestamp, x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 and 90 more; add" in problem


def test_a_mapping_to_a_column_that_is_not_there_is_refused():
    """A typing error in the settings is no missing field."""
    expected = (
        "prices.parquet: no column Adj Clsoe; it has symbol, timestamp, Adj Close; add to this source\n"
        '    columns = { close = "Adj Close" }'
    )
    frame = bars().rename({"close": "Adj Close"})
    assert [expected] == refused(frame, FeedConfig(columns={"close": "Adj Clsoe"}))


def test_a_mapped_name_that_a_feed_does_not_have_is_refused():
    """A typing error on the left of the mapping is not ignored."""
    (problem,) = refused(bars(), FeedConfig(columns={"clsoe": "close"}))
    assert 'columns.clsoe is no column of a bar; did you mean "close"' in problem


def test_one_symbol_needs_no_column():
    """``symbol`` names it."""
    frame = bars()[:2].drop("symbol")
    (batch,) = read(frame, FeedConfig(symbol="SPY")).batches()
    assert ["SPY", "SPY"] == batch["symbol"].to_list()


def test_symbols_that_are_numbers_become_text():
    """Permanent identifiers are often integers."""
    frame = bars().with_columns(symbol=pl.Series([10107, 10107, 14593, 14593]))
    (batch,) = read(frame).batches()
    assert ["10107", "14593"] == batch["symbol"].unique().sort().to_list()


def test_bars_of_bids_and_asks_are_told_how_to_be_read():
    """Their closes are quotes, known at the end of the bar and not at its stamp."""
    quotes = bars().rename({"close": "bid_close"}).with_columns(pl.col("bid_close").alias("ask_close"))
    with pytest.raises(
        DataError, match=r'(?s)no column close; .*kind = "quote".*bid = "bid_close", ask = "ask_close".*stamp = "open"'
    ):
        read(quotes)
    with pytest.raises(DataError, match=r'columns = \{ bid = "bid_close" \}'):
        read(quotes.with_columns(bid_low=1.0), FeedConfig(kind="quote"))


@pytest.mark.parametrize(("stamp", "later"), [("open", 5), ("close", 0)])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("name", ["timestamp", "Date", "label"])
def test_the_last_quote_of_a_bar_happened_at_its_end(stamp, later, unit, name):
    """Stamps are those of the bars, of either end."""
    begins = datetime(2024, 3, 1, 14, 30, tzinfo=UTC)
    frame = pl.DataFrame({"symbol": ["A"], name: [begins], "bid_close": [1.0], "ask_close": [2.0], "bid_low": [0.5]})
    frame = frame.with_columns(pl.col(name).dt.cast_time_unit(unit))
    columns = {"bid": "bid_close", "ask": "ask_close"} | ({"timestamp": name} if name == "label" else {})
    rows = read(frame, FeedConfig(kind="quote", columns=columns, bar="5m", stamp=stamp))
    (batch,) = rows.batches()
    expected = {"symbol": "A", "event_time": begins + timedelta(minutes=later), "bid": 1.0, "ask": 2.0}
    assert [expected] == batch.to_dicts()
    assert ("quote", "event_time", 0) == (rows.spec.kind, rows.spec.rule.convention, rows.spec.rule.latency_ns)
    late = read(frame, FeedConfig(kind="quote", columns=columns, bar="5m", stamp=stamp, latency="1s"))
    assert 10**9 == late.spec.rule.latency_ns


def test_daily_bars_that_are_said_to_be_shorter_are_doubted():
    """They would be known an hour after the midnight that names their session."""
    frame = bars().with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))
    (doubt,) = read(frame, FeedConfig(prices="raw", bar="1h", stamp="open")).notes
    assert "prices.parquet: all stamps are midnights, though bars are said to be shorter than a day" in doubt
    assert () == read(frame, FeedConfig(prices="raw", bar="1d")).notes
    assert () == read(frame.gather([0, 2]), FeedConfig(prices="raw", bar="1h", stamp="open")).notes


def test_only_the_asked_symbols_are_read_and_absent_ones_are_noted():
    """A subset of a large file costs what the subset costs."""
    rows = read(bars(), FeedConfig(symbols=("B", "C", "D"), prices="raw"))
    (batch,) = rows.batches()
    assert (["B", "B"], ("prices.parquet: no rows of C, D",)) == (batch["symbol"].to_list(), rows.notes)


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo", "America/New_York", "date"])
def test_days_outside_the_window_are_not_read(zone):
    """The window's days count in the stamps' own zone, both ends included."""
    days = [date(2024, 1, day) for day in range(1, 7)]
    stamps = pl.Series(days)
    if zone != "date":
        stamps = stamps.cast(pl.Datetime("us")).dt.replace_time_zone(zone)
    frame = pl.DataFrame({"symbol": "A", "timestamp": stamps, "close": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    rows = read(frame, window=Window(first=instant(2024, 1, 3, 5), last=instant(2024, 1, 4, 21)))
    (batch,) = rows.batches()
    last = 5 if zone == "Asia/Tokyo" else 4  # where the window's last day has begun already
    assert days[2:last] == batch["timestamp"].to_list()


def test_rows_are_numbered_as_in_the_input_though_some_are_not_read():
    """The row to correct is the one in the file."""
    frame = bars().with_columns(close=pl.Series([10.0, 11.0, 20.0, -1.0]))
    window = Window(first=instant(2024, 1, 3), last=None)
    (problem,) = refused(frame, FeedConfig(symbols=("B",)), window)
    assert problem.startswith("prices.parquet row 3 (B, 2024-01-03): ")


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo", "America/New_York"])
def test_midnights_become_the_dates_of_their_own_zone(zone):
    """Midnight in Tokyo is the day before in UTC."""
    stamps = pl.Series(DAYS * 2).cast(pl.Datetime("ns")).dt.replace_time_zone(zone)
    (batch,) = read(bars().with_columns(timestamp=stamps)).batches()
    assert pl.Series("timestamp", [DAYS[0], DAYS[0], DAYS[1], DAYS[1]]).equals(batch["timestamp"])


def test_intraday_bars_without_stamp_are_refused_with_the_lines_to_add():
    """Nothing is taken as known at a bare timestamp."""
    stamps = pl.Series([datetime(2024, 1, 2, 14, minute, tzinfo=UTC) for minute in (30, 31)] * 2)
    (problem,) = refused(bars().with_columns(timestamp=stamps))
    assert 'bar = "5m"' in problem
    assert 'stamp = "open"' in problem


def test_an_input_without_rows_is_refused():
    """A run on nothing is a mistake."""
    assert ["prices.parquet: no rows; correct the input or what is asked of it"] == refused(bars()[:0])
    (problem,) = refused(bars(), FeedConfig(symbols=("C",)))
    there = "it has some from 2024-01-02 to 2024-01-03, such as A, B"
    assert f"prices.parquet: no rows for these symbols between start and end: {there}; correct" in problem


def test_prices_are_raw_unless_said_and_a_note_says_so():
    """The basis of prices decides what share counts mean."""
    note = 'prices.parquet: prices are taken as raw; say so with `prices = "raw"`, or "split" or "total"'
    assert (note,) == read(bars()).notes
    assert () == read(bars(), FeedConfig(prices="split")).notes


@pytest.mark.parametrize(
    ("columns", "kind", "fields"),
    [
        (["open", "close"], "bar", ("open", "close")),
        (["volume", "close", "low", "high", "open"], "bar", ("open", "high", "low", "close", "volume")),
        (["ask", "bid"], "quote", ("bid", "ask")),
        (["bid", "ask", "ask_size", "bid_size"], "quote", ("bid", "bid_size", "ask", "ask_size")),
        (["price", "size"], "trade", ("price", "size")),
        (["price"], "trade", ("price",)),
    ],
)
def test_columns_say_what_a_row_is(columns, kind, fields):
    """Fields come in one order, whatever the order in the file; other columns are left out."""
    frame = bars().select(
        "symbol", "timestamp", pl.lit("x").alias("exchange"), *[pl.lit(1.0).alias(n) for n in columns]
    )
    rows = read(frame)
    assert (kind, fields) == (rows.spec.kind, rows.spec.fields)


def test_further_columns_are_kept_where_asked():
    """``fields`` follow the usual ones."""
    frame = bars().with_columns(open_interest=pl.lit(7))
    rows = read(frame, FeedConfig(fields=("open_interest",)))
    assert ("close", "open_interest") == rows.spec.fields


def test_every_numeric_column_is_a_signal_unless_values_are_named():
    """Keys and text are none."""
    frame = bars().rename({"close": "score"}).with_columns(rank=pl.lit(1), sector=pl.lit("x"))
    assert ("score", "rank") == read(frame, SignalConfig()).spec.fields
    assert ("rank",) == read(frame, SignalConfig(values=("rank",))).spec.fields
    assert ("alpha", "rank") == read(frame, SignalConfig(columns={"alpha": "score"})).spec.fields
    assert ["prices.parquet: no column holds numbers; it has symbol, timestamp"] == refused(
        frame.select("symbol", "timestamp"), SignalConfig()
    )


def test_a_bare_intraday_timestamp_of_a_signal_is_refused_with_the_line_to_add():
    """When it happened does not say when it was known."""
    stamps = pl.Series([datetime(2024, 1, 2, 14, 30, tzinfo=UTC), datetime(2024, 1, 2, 15, tzinfo=UTC)] * 2)
    (problem,) = refused(bars().with_columns(timestamp=stamps), SignalConfig())
    assert 'columns = { event_time = "timestamp" }   # or { known_at = "timestamp" }' in problem


def test_the_line_that_a_refused_signal_shows_works():
    """A remedy is a promise."""
    stamps = pl.Series([datetime(2024, 1, 2, 14, 30, tzinfo=UTC), datetime(2024, 1, 2, 15, tzinfo=UTC)] * 2)
    frame = bars().with_columns(timestamp=stamps)
    known = read(frame, SignalConfig(columns={"known_at": "timestamp"}))
    late = read(frame, SignalConfig(columns={"event_time": "timestamp"}, latency="5m"))
    assert ("known_at", "event_time") == (known.spec.rule.convention, late.spec.rule.convention)
    assert 300 * NS == late.spec.rule.latency_ns


def test_releases_with_a_known_at_are_ordered_by_it():
    """Event times may go back from one release to the next."""
    frame = pl.DataFrame(
        {
            "symbol": ["A", "A"],
            "event_time": [datetime(2024, 1, 3, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)],
            "known_at": [datetime(2024, 1, 4, 12, tzinfo=UTC), datetime(2024, 1, 5, 12, tzinfo=UTC)],
            "score": [1.0, 2.0],
        }
    )
    rows = read(frame, SignalConfig())
    assert (("score",), "known_at") == (rows.spec.fields, rows.spec.rule.convention)


def test_an_input_that_cannot_be_read_is_named(tmp_path):
    """What a library says is kept behind the file's name."""
    (tmp_path / "prices.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"^prices.parquet: cannot be read: "):
        open_rows(
            pl.scan_parquet(tmp_path / "prices.parquet"), FeedConfig(), Window(), name="prices", origin="prices.parquet"
        )
    (tmp_path / "prices.csv").write_text("symbol,timestamp,close\n2024-01-02,A,1.0\n")
    with pytest.raises(DataError, match=r'PAR1.*; use = "csv" reads text$'):
        open_rows(pl.scan_parquet(tmp_path / "prices.csv"), FeedConfig(), Window(), name="prices", origin="prices.csv")


def test_stamps_of_another_type_are_refused():
    """Integers and text say nothing of their unit or zone."""
    for stamps in ([1, 2, 1, 2], ["2024-01-02", "2024-01-03"] * 2):
        (problem,) = refused(bars().with_columns(timestamp=pl.Series(stamps)))
        assert problem.startswith("prices.parquet: stamps are ")


def test_large_inputs_are_passed_on_without_a_copy():
    """A frame in time order is one batch: itself."""
    days = np.arange(1000).repeat(10)
    frame = pl.DataFrame({"symbol": [f"S{i}" for i in range(10)] * 1000, "timestamp": days, "close": days + 1.0})
    frame = frame.with_columns(pl.col("timestamp").cast(pl.Int32).cast(pl.Date))
    (batch,) = read(frame).batches()
    address = frame["close"].to_numpy().__array_interface__["data"]
    assert address == batch["close"].to_numpy().__array_interface__["data"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["open", "volume"], "its name there"), (["open", "Clos"], "Clos"), (["Last Close", "open"], "Last Close")],
)
def test_a_column_that_is_another_field_is_no_remedy(names, expected):
    """An open is no close, however alike the words are."""
    frame = bars().drop("close").with_columns(pl.lit(1.0).alias(name) for name in names)
    with pytest.raises(DataError) as caught:
        read(frame)
    assert f'columns = {{ close = "{expected}" }}' in str(caught.value)


def test_names_that_differ_in_case_only_are_not_guessed_between():
    """A folder date=... beside a column Date, say."""
    frame = bars().rename({"timestamp": "Date"}).with_columns(date=pl.lit(date(2024, 1, 2)))
    with pytest.raises(DataError, match="no column timestamp"):
        read(frame)
    assert 4 == sum(batch.height for batch in read(frame, FeedConfig(columns={"timestamp": "Date"})).batches())
