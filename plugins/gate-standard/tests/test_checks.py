"""What is wrong with the rows of a source, and what can be lived with."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from ml4t.backtest.errors import DataError
from ml4t_backtest_gate_standard.checks import RowGate

DAYS = [date(2024, 1, day) for day in (2, 3, 4)]


def bars(**columns):
    """Return bars of A and B over two days, sorted by symbol, with some columns replaced."""
    frame = {
        "symbol": ["A", "A", "B", "B"],
        "timestamp": [DAYS[0], DAYS[1], DAYS[0], DAYS[1]],
        "open": [10.0, 10.5, 20.0, 20.5],
        "high": [11.0, 11.5, 21.0, 21.5],
        "low": [9.0, 9.5, 19.0, 19.5],
        "close": [10.5, 11.0, 20.5, 21.0],
        "volume": [100.0, 0.0, 100.0, 100.0],
    }
    return pl.DataFrame({**frame, **columns})


def gate_of(*frames, kind="bar", time_column="timestamp", **options):
    """Return a gate that has looked at frames, one after another."""
    fields = [name for name in frames[0].columns if name not in ("symbol", "timestamp", "known_at", "event_time")]
    gate = RowGate(origin="prices.parquet", kind=kind, time_column=time_column, fields=fields, **options)
    for frame in frames:
        gate.check(frame)
    return gate


def test_good_bars_pass_without_a_word():
    """Rows sorted by symbol, then time, need no setting."""
    gate = gate_of(bars())
    assert ([], (), 4) == (gate.errors, gate.notes(), gate.rows)
    assert not gate.in_time_order


@pytest.mark.parametrize("keys", [["timestamp", "symbol"], ["symbol", "timestamp"]])
def test_rows_in_either_usual_order_pass(keys):
    """By time or by symbol: both are common in files."""
    gate = gate_of(bars().sort(keys))
    assert [] == gate.errors
    assert (keys[0] == "timestamp") == gate.in_time_order


def test_symbols_may_come_in_any_order_inside_one_stamp():
    """Only time orders a feed."""
    gate = gate_of(bars()[[2, 0, 3, 1]])
    assert ([], True) == (gate.errors, gate.in_time_order)


def test_symbols_may_follow_one_another_in_any_order():
    """A file made by joining files per symbol needs no setting."""
    gate = gate_of(bars()[[2, 3, 0, 1]])
    assert ([], False, False) == (gate.errors, gate.in_time_order, gate.went_back)


def test_stamps_that_go_back_within_a_symbol_are_refused():
    """The message names row, symbol and stamp, and the setting that sorts."""
    gate = gate_of(bars()[[0, 1, 3, 2]])
    expected = (
        "prices.parquet row 3 (B, 2024-01-02): the stamps of this symbol go back; sort the rows, or add `sort = true`"
    )
    assert [expected] == gate.errors


def test_stamps_that_go_back_pass_where_the_source_sorts():
    """``sort = true`` is the remedy that the message names."""
    gate = gate_of(bars()[[0, 1, 3, 2]], sort=True)
    assert ([], True) == (gate.errors, gate.went_back)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 2], [2, 0, 1, 3, 2], [0, 2, 2, 1, 3]])
def test_a_row_given_twice_is_refused_wherever_it_stands(order):
    """Two bars of one symbol and stamp cannot both be true."""
    gate = gate_of(bars()[order], sort=True)
    first, second = [place for place, row in enumerate(order) if row == 2]
    expected = (
        f"prices.parquet row {second} (B, 2024-01-02): this symbol and stamp were given before, "
        f"in prices.parquet row {first}; keep one of the rows"
    )
    assert [expected] == gate.errors


@pytest.mark.parametrize("kind", ["quote", "trade"])
def test_ticks_may_share_a_stamp(kind):
    """Several prints of one symbol in one millisecond are genuine."""
    frame = pl.DataFrame({"symbol": ["A"] * 3, "timestamp": [DAYS[0], DAYS[0], DAYS[1]]})
    fields = {"bid": [1.0] * 3, "ask": [2.0] * 3} if kind == "quote" else {"price": [1.0] * 3}
    assert [] == gate_of(frame.with_columns(**{n: pl.Series(v) for n, v in fields.items()}), kind=kind).errors


@pytest.mark.parametrize("kind", ["bar", "trade"])
def test_faults_are_found_over_the_edge_of_two_batches(kind):
    """A batch may end anywhere, also between two rows of one stamp."""
    frame = bars().sort("timestamp", "symbol").select("symbol", "timestamp", price="close")
    gate = gate_of(frame[:2], frame[1:], kind=kind)
    twice = (
        "prices.parquet row 2 (B, 2024-01-02): this symbol and stamp were given before, "
        "in prices.parquet row 1; keep one of the rows"
    )
    assert ([twice] if kind == "bar" else []) == gate.errors
    assert gate_of(frame[:2], frame[2:], kind=kind).in_time_order
    assert not gate_of(frame[2:], frame[:2], kind=kind).in_time_order


def test_rows_of_one_release_may_differ_in_event_time():
    """Two predictions that become known together are two rows."""
    frame = pl.DataFrame({"symbol": ["A", "A"], "known_at": [DAYS[2]] * 2, "event_time": DAYS[:2], "score": [1.0, 2.0]})
    assert [] == gate_of(frame, kind="signal", time_column="known_at").errors
    same = frame.with_columns(event_time=pl.lit(DAYS[0]))
    assert 1 == len(gate_of(same, kind="signal", time_column="known_at").errors)


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
def test_an_unknown_value_is_a_note_with_its_count(field):
    """A null or NaN field is a finding; the symbol cannot fill there."""
    frame = bars(**{field: [None, float("nan"), 20.0, 20.0]}).with_columns(high=pl.col("high") + 10)
    gate = gate_of(frame)
    lack = "unknown there" if field in ("high", "low", "volume") else "a symbol cannot fill there"
    assert [] == gate.errors
    assert f"prices.parquet: 2 of 4 rows have no {field}: {lack}" in gate.notes()


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        (
            "close",
            [10.5, 0.0, 20.5, -1.0],
            "prices.parquet row 1 (A, 2024-01-03): close is not above zero (and 1 more row like it); correct it, "
            "or add `allow_negative_prices = true` where the instrument has such prices",
        ),
        (
            "close",
            [10.5, float("inf"), 20.5, 21.0],
            "prices.parquet row 1 (A, 2024-01-03): close is infinite; correct it, or leave it empty",
        ),
        ("high", [11.0, 11.5, 18.0, 21.5], "prices.parquet row 2 (B, 2024-01-02): high is below low; correct the row"),
        (
            "volume",
            [1.0, 1.0, 1.0, -1.0],
            "prices.parquet row 3 (B, 2024-01-03): volume is negative; correct it",
        ),
        (
            "open",
            ["10.0", "10.5", "abc", "20.5"],
            "prices.parquet row 2 (B, 2024-01-02): open is 'abc', which is no number; "
            "correct it, or map another column to open",
        ),
        (
            "symbol",
            ["A", "A", None, "B"],
            "prices.parquet row 2 (None, 2024-01-02): no symbol; give each row one, or leave the row out",
        ),
        (
            "symbol",
            pl.Series(["A", "A", "B", ""], dtype=pl.Categorical),
            "prices.parquet row 3 (, 2024-01-03): no symbol; give each row one, or leave the row out",
        ),
        (
            "timestamp",
            [DAYS[0], None, DAYS[0], DAYS[1]],
            "prices.parquet row 1 (A, None): no timestamp; give each row one, or leave the row out",
        ),
    ],
)
def test_a_wrong_value_is_refused_by_file_row_symbol_and_stamp(column, values, expected):
    """Each fault is one sentence: where, what, and what to do."""
    assert [expected] == gate_of(bars(**{column: values})).errors


def test_negative_prices_pass_where_the_instrument_has_them():
    """Crude oil settled at -37.63 on one day of April 2020."""
    frame = bars(**{name: [-37.6] * 4 for name in ("open", "high", "low", "close")})
    assert [] == gate_of(frame, allow_negative=True).errors


def test_open_and_close_outside_the_range_are_a_note():
    """Vendors take them from different prints."""
    gate = gate_of(bars(open=[8.0, 10.5, 20.0, 30.0], close=[12.0, 11.0, 20.5, 21.0]))
    expected = (
        "prices.parquet: 2 of 4 rows have open outside low and high",
        "prices.parquet: 1 of 4 rows have close outside low and high",
    )
    assert ([], expected) == (gate.errors, gate.notes())


def test_crossed_quotes_are_a_note_and_one_sided_ones_count_as_unknown():
    """Real quote data has both."""
    frame = pl.DataFrame(
        {"symbol": ["A"] * 3, "timestamp": DAYS, "bid": [1.0, 3.0, None], "ask": [2.0, 2.0, 2.0]},
    )
    expected = (
        "prices.parquet: 1 of 3 rows have no bid: a symbol cannot fill there",
        "prices.parquet: 1 of 3 rows are crossed: bid above ask",
    )
    assert expected == gate_of(frame, kind="quote").notes()


def test_signals_may_be_negative_but_not_infinite():
    """A score has no price's rules."""
    frame = pl.DataFrame({"symbol": ["A", "B"], "timestamp": DAYS[:2], "score": [-1.0, float("-inf")]})
    expected = "prices.parquet row 1 (B, 2024-01-03): score is infinite; correct it, or leave it empty"
    assert [expected] == gate_of(frame, kind="signal").errors


def test_all_faults_come_in_one_error():
    """Nobody wants to learn of them one by one."""
    gate = gate_of(bars(close=[-1.0, 11.0, 20.5, 21.0], volume=[-1.0, 0.0, 0.0, 0.0]))
    with pytest.raises(DataError) as caught:
        gate.raise_if_any()
    assert 2 == len(caught.value.problems)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("hour", [0, 1])
def test_midnights_are_seen_in_their_own_zone(unit, zone, hour):
    """Stamps that are all midnight may be session labels."""
    stamps = pl.Series([datetime(2024, 1, 2), datetime(2024, 7, 2, hour)], dtype=pl.Datetime(unit))
    frame = pl.DataFrame({"symbol": ["A", "A"], "timestamp": stamps.dt.replace_time_zone(zone), "close": [1.0, 2.0]})
    assert (hour == 0) == gate_of(frame).all_midnight


def test_symbols_of_any_type_are_compared_by_name():
    """A Categorical and an Enum are as good as text."""
    for dtype in (pl.String, pl.Categorical, pl.Enum(["B", "A"])):
        frame = bars().with_columns(pl.col("symbol").cast(dtype))
        assert [] == gate_of(frame[:2], frame[2:]).errors
        assert 1 == len(gate_of(frame[[0, 1, 3, 2]]).errors)


def test_rows_are_named_as_the_source_says():
    """A source of several files names the file and the row in it."""
    gate = gate_of(bars(volume=[1.0, -1.0, 1.0, 1.0]), place=lambda row: f"b.parquet row {row + 100}")
    assert ["b.parquet row 101 (A, 2024-01-03): volume is negative; correct it"] == gate.errors


@pytest.mark.parametrize(
    ("dtype", "far", "shown"),
    [
        (pl.Date, 2_932_896, "9999-12-31"),
        (pl.Date, 2**31 - 1, "2147483647 days since 1970"),
        (pl.Datetime("us", "UTC"), -(2**60), "-1152921504606846976 us since 1970"),
    ],
)
def test_a_stamp_too_far_off_is_refused_by_row(dtype, far, shown):
    """Wherever it stands, also beyond the years that Python has."""
    stamps = pl.Series([far, 19_000, 19_001, 19_002]).cast(dtype)
    expected = f"prices.parquet row 0 (A, {shown}): timestamp is {shown}; every row needs one between 1678 and 2261"
    assert [expected] == gate_of(bars(timestamp=stamps)).errors


def test_a_zoned_stamp_is_shown_with_its_zone():
    """Who looks for the row has to know which time is meant."""
    stamp = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
    frame = pl.DataFrame({"symbol": ["A"], "timestamp": [stamp], "close": [-1.0]})
    assert gate_of(frame).errors[0].startswith("prices.parquet row 0 (A, 2024-01-02 14:30:00+00:00): ")


@pytest.mark.parametrize("kind", ["trade", "signal"])
def test_rows_known_before_they_happened_are_refused_in_time_order_too(kind):
    """However well they are ordered otherwise."""
    stamps = [datetime(2024, 1, 2, hour, tzinfo=UTC) for hour in (10, 11, 12)]
    rows = {"symbol": ["A"] * 3, "known_at": stamps, "event_time": [*stamps[:2], datetime(2024, 1, 2, 13, tzinfo=UTC)]}
    gate = gate_of(pl.DataFrame(rows | {"price": [1.0, 2.0, 3.0]}), kind=kind, time_column="known_at")
    (error,) = gate.errors
    assert error.startswith("prices.parquet row 2 (A, 2024-01-02 12:00:00+00:00): known_at is before event_time")
