"""Released rows: as columns, read-only, unchanging, and no more of them than was declared."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml4t.backtest import Strategy
from ml4t.backtest.core import pit
from ml4t.backtest.errors import LookAheadError

NAMES = "ABCD"
START = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
FIELDS = ("open", "high", "low", "close", "volume")


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Blocks of 16 rows, so that every test rolls some, and uses some again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pit, "_SMALLEST_BLOCK", 16)
        patch.setattr(pit, "_LARGEST_BLOCK", 16)
        yield


def frame_of(panel, seed=0):
    """Minute bars; panel holds the symbols of each minute."""
    rows = [(START + timedelta(minutes=place), name) for place, names in enumerate(panel) for name in sorted(names)]
    values = np.random.default_rng(seed).uniform(90, 110, (len(rows), 4))
    return pl.DataFrame(
        {
            "timestamp": [row[0] for row in rows],
            "symbol": [row[1] for row in rows],
            "open": values[:, 0],
            "high": values.max(axis=1) + 1,
            "low": values.min(axis=1) - 1,
            "close": values[:, 3],
            "volume": np.arange(len(rows)) + 1.0,
        }
    )


class Reader(Strategy):
    """Look at columns at chosen events, keep what was seen and a copy of it."""

    def __init__(self, reads, depth, orders=()):
        self.reads, self.depth, self.orders, self.turn, self.seen = reads, depth, orders, 0, []

    def on_start(self, context):
        context.subscribe("prices", history=self.depth)

    def on_event(self, event, context):
        self.turn += 1
        if self.turn in self.orders:
            context.order(event.symbol, 1.0)
        kinds = self.reads.get(self.turn, ())
        seen = {"history": context.history("close", self.depth)} if "history" in kinds else {}
        if "price" in kinds:
            seen["price"] = context.price()
        if "window" in kinds:
            seen["window"] = context.window("prices", ("close", "volume"))
        if seen:
            copies = {name: value.clone() if name == "window" else value.copy() for name, value in seen.items()}
            self.seen.append((context.now_ns, context.symbols, seen, copies))


def check_against_rows(frame, seen, depth):
    """Compare with the plain truth: the rows of the frame known at that time."""
    for now, symbols, arrays, copies in seen:
        known = frame.filter(pl.col("timestamp").dt.epoch("ns") + 60 * 10**9 <= now)
        assert tuple(dict.fromkeys(known["symbol"])) == symbols
        last = known["timestamp"].unique().sort().tail(depth).to_list()
        if "history" in arrays:
            expected = np.full((depth, len(symbols)), np.nan)
            for stamp, symbol, close in known.select("timestamp", "symbol", "close").iter_rows():
                if stamp in last:
                    expected[depth - len(last) + last.index(stamp), symbols.index(symbol)] = close
            np.testing.assert_array_equal(expected, arrays["history"])
        if "price" in arrays:
            newest = dict(known.select("symbol", "close").iter_rows())
            assert [newest[symbol] for symbol in symbols] == arrays["price"].tolist()
        if "window" in arrays:
            rows = known.filter(pl.col("timestamp").is_in(last))
            assert (
                rows.select("symbol", "close", "volume").rows()
                == arrays["window"].select("symbol", "close", "volume").rows()
            )
        for name, value in arrays.items():  # whatever came later
            if name == "window":
                assert value.equals(copies[name])
            else:
                np.testing.assert_array_equal(copies[name], value)


class Keeper(Strategy):
    """Note in which memory each slice lies, and keep the closes of some."""

    def __init__(self, kept):
        self.kept, self.closes, self.memory = kept, [], []

    def on_slice(self, market, context):
        closes = market.close
        if len(self.memory) in self.kept:
            self.closes.append((len(self.memory), closes))
        while closes.base is not None:
            closes = closes.base
        self.memory.append(closes.__array_interface__["data"][0])


@pytest.mark.parametrize(("kept", "blocks"), [((), 3), ((6,), 4), ((6, 10), 5)])
def test_memory_serves_again_unless_somebody_has_kept_a_view_of_it(kit, kept, blocks):
    """After a first, smaller block two serve by turns; each one of which a view is kept makes a further one."""
    frame, strategy = frame_of([set(NAMES)] * 40), Keeper(kept)
    kit.run(strategy, kit.Source(frame, bar="1m", stamp="open", batch=8))
    assert blocks == len(set(strategy.memory))
    for place, closes in strategy.closes:
        assert frame["close"][4 * place : 4 * place + 4].to_list() == closes.tolist()


panels = st.lists(st.sets(st.sampled_from(NAMES), min_size=1), min_size=1, max_size=40) | st.lists(
    st.just(set(NAMES)), min_size=5, max_size=40
)
kinds = st.sets(st.sampled_from(["history", "price", "window"]), min_size=1)


@settings(max_examples=60, deadline=None)
@given(
    panel=panels,
    reads=st.dictionaries(st.integers(1, 120), kinds, max_size=12),
    depth=st.integers(1, 9),
    orders=st.sets(st.integers(1, 120), max_size=3),
    batch=st.sampled_from([0, 1, 5]),
)
def test_columns_are_the_rows_known_whichever_way_they_came(kit, panel, reads, depth, orders, batch):
    """Delivered in stretches and copied later, or released at once: the same arrays, those of the plain rows."""
    frame = frame_of(panel)
    source = {"bar": "1m", "stamp": "open", "batch": batch}
    fast = Reader(reads, depth, orders)
    kit.run(fast, kit.Source(frame, **source))
    slow = Reader(reads, depth, orders)
    for _ in kit.engine(slow, kit.Source(frame, **source)).steps():
        pass
    assert len(fast.seen) == len(slow.seen)
    check_against_rows(frame, fast.seen, depth)
    check_against_rows(frame, slow.seen, depth)


def test_ragged_stretches_are_not_taken_for_panels(kit):
    """Instants with the symbols 0, 0 1, 0, 0 1 … each begin with the first, and yet are no panel."""
    panel = [set("AB"), *[set("AB"[: 1 + place % 2]) for place in range(30)]]
    frame = frame_of(panel)
    reader = Reader({turn: {"history"} for turn in range(5, 45, 3)}, 3)
    kit.run(reader, kit.Source(frame, bar="1m", stamp="open"))
    check_against_rows(frame, reader.seen, 3)
    lazy = Reader({44: {"history"}}, 3)
    kit.run(lazy, kit.Source(frame, bar="1m", stamp="open"))
    check_against_rows(frame, lazy.seen, 3)


class Slices(Strategy):
    """Call a function with each slice."""

    def __init__(self, function, **depths):
        self.function, self.depths = function, depths

    def on_start(self, context):
        for feed, depth in self.depths.items():
            context.subscribe(feed, history=depth)

    def on_slice(self, market, context):
        self.function(market, context)


def sliced(kit, function, *sources, **depths):
    for _ in kit.engine(Slices(function, **depths), *sources).steps():
        pass


def test_windows_that_are_kept_never_change(kit):
    """Across many rolls of the blocks."""
    kept = []

    def keep(market, context):
        arrays = [
            context.history("close", 5),
            market.close,
            market.feed("prices").volume,
            market.feed("prices").symbol_ids,
        ]
        kept.append([(array, array.copy()) for array in arrays])

    sliced(kit, keep, kit.Source(kit.bars(60)), prices=5)
    assert 60 == len(kept)
    for pairs in kept:
        for array, copy in pairs:
            np.testing.assert_array_equal(copy, array)


def test_what_is_handed_out_is_read_only(kit):
    """Neither the array, nor the block below it, nor the flag can be written."""

    def touch(market, context):
        if context.now.day < 5:
            return  # where history is short it is a copy
        for array in (
            market.close,
            context.history("close", 3),
            market.feed("prices").open,
            market.feed("prices").symbol_ids,
        ):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
            with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
                array.flags.writeable = True
            base = array.base
            while isinstance(base, np.ndarray):
                assert not base.flags.writeable
                base = base.base

    sliced(kit, touch, kit.Source(kit.bars(10)), prices=3)


def test_full_panels_are_not_copied(kit):
    """A window of a complete cross-section is a view of the block."""
    shared = []

    def look(market, context):
        shared.append(np.shares_memory(context.history("close", 2), market.close))

    sliced(kit, look, kit.Source(kit.bars(10)), prices=2)
    assert [False, *[True] * 9] == shared


def test_history_is_as_deep_as_was_declared(kit):
    """More is an error that says what to write."""

    def look(market, context):
        assert (4, 3) == context.history("close", 4).shape
        with pytest.raises(
            LookAheadError, match=r"history of 5 bars of 'prices' was asked for, 4 declared: call context"
        ):
            context.history("close", 5)

    sliced(kit, look, kit.Source(kit.bars(10)), prices=4)


def test_unknown_names_are_said_with_those_there_are(kit):
    """Fields, feeds and signals."""

    def look(market, context):
        with pytest.raises(
            LookAheadError, match="source 'prices' has no field 'vwap'; it has open, high, low, close, volume"
        ):
            context.history("vwap", 1)
        with pytest.raises(LookAheadError, match="there is no feed, signal source or table 'other'; known are prices"):
            context.window("other")
        with pytest.raises(LookAheadError, match="there is no signal 'score'; known are none"):
            context.signal("score")
        with pytest.raises(AttributeError, match="feed 'prices' has no field 'vwap'"):
            _ = market.vwap
        with pytest.raises(KeyError, match="feed 'other' has no rows at this instant"):
            market.feed("other")

    sliced(kit, look, kit.Source(kit.bars(3)))


def test_a_slice_is_over_when_its_instant_is(kit):
    """Arrays stay; the slice itself must not show a later instant under an old name."""
    kept = []

    def keep(market, context):
        if kept:
            with pytest.raises(LookAheadError, match="this slice is over: take the arrays you need"):
                _ = kept[-1].close
        kept.append(market)

    sliced(kit, keep, kit.Source(kit.bars(3)))


def test_symbols_without_a_bar_are_nan(kit):
    """Dense columns have one value per released symbol; ``updated`` and the compact columns know which are new."""
    frame = kit.bars(3).filter((pl.col("symbol") != "B") | (pl.col("timestamp") == date(2024, 1, 2)))
    seen = []

    def look(market, context):
        compact = market.feed("prices")
        seen.append(
            (np.isnan(market.close).tolist(), market.updated.tolist(), compact.symbol_ids.tolist(), len(compact.close))
        )

    sliced(kit, look, kit.Source(frame))
    assert [
        ([False, False], [True, True], [0, 1], 2),
        ([False, False, False], [True, True, True], [0, 2, 1], 3),
        ([False, False, True], [True, True, False], [0, 1], 2),
    ] == seen


# --- signals ------------------------------------------------------------------------------------------


def scores(*rows):
    """Signal rows of (day of January, symbol, value), known at that midnight."""
    stamps = [datetime(2024, 1, day, tzinfo=UTC) for day, _, _ in rows]
    frame = pl.DataFrame({"known_at": stamps, "symbol": [row[1] for row in rows], "score": [row[2] for row in rows]})
    return frame.with_columns(pl.col("known_at").cast(pl.Datetime("ns", "UTC")), pl.col("score").cast(pl.Float64))


def values_per_day(kit, signals):
    seen = {}

    def look(market, context):
        day = 86_400_000_000_000
        seen[context.now.day] = (
            context.signal("score").tolist(),
            context.signal_updated("score").tolist(),
            context.signal_age("score") // day if context.signal_age("score") < 1000 * day else None,
        )

    sliced(kit, look, kit.Source(kit.bars(7, "AB")), signals)
    return seen


def test_a_signal_is_valid_until_the_next_release(kit):
    """A name that the newest release leaves out has no value any more."""
    source = kit.Source(scores((3, "A", 1), (3, "B", 2), (5, "B", 3)), name="model", kind="signal")
    seen = values_per_day(kit, source)
    np.testing.assert_array_equal([np.nan, np.nan], seen[2][0])
    assert ([1.0, 2.0], [True, True], 0) == seen[3]
    assert ([1.0, 2.0], [False, False], 1) == seen[4]
    np.testing.assert_array_equal([np.nan, 3.0], seen[5][0])
    assert ([False, True], 0) == seen[5][1:]
    assert None is seen[2][2]


def test_with_valid_for_each_symbol_keeps_its_own_value(kit):
    """Released symbol by symbol, a value holds for the time stated, also if nothing new comes."""
    source = kit.Source(scores((3, "A", 1), (4, "B", 2)), name="model", kind="signal", valid_for=2 * 86_400_000_000_000)
    seen = {day: row[0] for day, row in values_per_day(kit, source).items()}
    expected = {3: [1, np.nan], 4: [1, 2], 5: [1, 2], 6: [np.nan, 2], 7: [np.nan, np.nan], 8: [np.nan, np.nan]}
    for day, values in expected.items():
        np.testing.assert_array_equal(values, seen[day], err_msg=str(day))


def test_symbols_that_come_later_get_a_column_in_older_signals(kit):
    """A signal asked for after a listing is as long as ``symbols`` then, NaN for the newcomer."""
    frame = kit.bars(5).filter((pl.col("symbol") != "C") | (pl.col("timestamp") >= date(2024, 1, 3)))
    source = kit.Source(scores((2, "A", 1), (2, "B", 2)), name="model", kind="signal")
    lengths = []

    def look(market, context):
        assert len(context.symbols) == len(context.signal("score")) == len(market.close) == len(context.universe)
        lengths.append(np.isnan(context.signal("score")).tolist())

    sliced(kit, look, kit.Source(frame), source)
    assert [[False, False], [False, False], *[[False, False, True]] * 3] == lengths


def test_a_window_ends_at_the_bounds_given(kit):
    """Both bounds are inclusive event times."""
    seen = []

    def look(market, context):
        since, until = datetime(2024, 1, 3, tzinfo=UTC), datetime(2024, 1, 4, tzinfo=UTC)
        seen.append(context.window("prices", ("close",), since=since, until=until)["event_time"].dt.day().to_list())
        with pytest.raises(LookAheadError, match="has no time zone: give a zone-aware datetime"):
            context.window("prices", since=datetime(2024, 1, 1))
        with pytest.raises(LookAheadError, match=r"was datetime.date.* give a zone-aware datetime"):
            context.window("prices", until=date(2024, 1, 1))

    sliced(kit, look, kit.Source(kit.bars(5, "A")), prices=5)
    assert [[], [3], [3, 4], [3, 4], [3, 4]] == seen
