"""Signals reach a strategy whenever they are known, hold as long as they say, and are counted by their fates."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, InputError, Strategy

HOUR = 3_600 * 10**9


def at(day, hour=0, minute=0):
    return datetime(2024, 1, day, hour, minute, tzinfo=UTC)


def bars(symbols=("A",), hours=72, first=1):
    """Return hourly bars stamped at their open, whose opens are the hour since the first of January."""
    stamps = [at(first) + timedelta(hours=number) for number in range(hours)]
    opens = np.arange(hours) + 24.0 * (first - 1) + 100.0
    frames = [
        pl.DataFrame({"timestamp": stamps, "symbol": name, "open": opens, "close": opens + 0.5}) for name in symbols
    ]
    return pl.concat(frames)


def rows(*entries, names=("symbol", "event_time", "known_at", "score")):
    """Return rows of a signal source."""
    return pl.DataFrame(list(entries), schema=list(names), orient="row", infer_schema_length=None)


class Watcher(Strategy):
    """Keep what is seen at each slice and signal; order in ``on_signal`` what is asked for."""

    def __init__(self, buy=()):
        self.buy, self.slices, self.batches = set(buy), {}, []

    def on_signal(self, batch, context):
        names = [context.symbols[place] for place in batch.symbol_ids]
        values = dict(zip(names, batch.values["score"].tolist(), strict=True))
        updated = [name for name, mask in zip(context.symbols, context.signal_updated("score"), strict=True) if mask]
        self.batches.append((context.now, values, updated))
        for name in self.buy & set(names):
            context.order(name, 1.0)

    def on_slice(self, market, context):
        known = zip(context.symbols, context.signal("score").tolist(), strict=True)
        ages = context.signal_age("score", context.symbols).tolist()
        self.slices[context.now] = (dict(known), dict(zip(context.symbols, ages, strict=True)))


def run(signals, prices=None, buy=(), **settings):
    strategy = Watcher(buy)
    prices = bars() if prices is None else prices
    signal = {"use": "frame", "name": "model", "frame": signals, **settings}
    result = Engine(prices=prices, bar="1h", stamp="open", signal=[signal], strategy=strategy).run()
    return result, strategy


def fates(result):
    return result.signals["fate"].to_list()


# --- delivered whenever they are known -------------------------------------------------------------------


def test_a_signal_between_bars_is_delivered_there_and_traded_at_the_next_price():
    """10:20 lies within the bar from 10:00; the open at 11:00 is the next price that forms."""
    result, strategy = run(rows(("A", at(1, 10, 20), at(1, 10, 20), 1.0)), buy="A")
    assert [(at(1, 10, 20), {"A": 1.0}, ["A"])] == strategy.batches
    fill = result.fills.row(0, named=True)
    assert (at(1, 10, 20), at(1, 11), 111.0) == (fill["submitted_at"], fill["timestamp"], fill["price"])
    assert ["traded"] == fates(result)
    assert {"A": 1.0} == strategy.slices[at(1, 11)][0]


def test_a_signal_of_a_symbol_without_a_bar_now_is_traded_at_its_next_price():
    """B has bars every six hours: between two of them it is ordered on its last mark."""
    sparse = bars("B").filter(pl.col("timestamp").dt.hour() % 6 == 0)
    result, strategy = run(rows(("B", at(1, 8), at(1, 8), 2.0)), pl.concat([bars(), sparse]), buy="B")
    assert [(at(1, 8), {"B": 2.0}, ["B"])] == strategy.batches
    assert [("B", at(1, 12), 112.0)] == result.fills.select("symbol", "timestamp", "price").rows()
    assert ["traded"] == fates(result)


def test_a_signal_of_a_symbol_that_has_not_begun_is_delivered_and_holds_when_it_does():
    """B begins on the second day; until its first price an order is refused for want of one."""

    class Patient(Watcher):
        def on_slice(self, market, context):
            super().on_slice(market, context)
            if context.now == at(2, 1):
                context.order("B", 1.0)

    strategy = Patient("B")
    prices = pl.concat([bars(), bars(["B"], 48, first=2)])
    signal = {"use": "frame", "frame": rows(("B", at(1, 5), at(1, 5), 2.0))}
    result = Engine(prices=prices, bar="1h", stamp="open", signal=[signal], strategy=strategy).run()
    assert [(at(1, 5), {"B": 2.0}, ["B"])] == strategy.batches
    assert [2.0, 2.0] == [strategy.slices[now][0]["B"] for now in (at(1, 6), at(2, 1))]
    assert {"no-mark": 1} == result.refusals
    assert [("B", at(2, 1), 125.0)] == result.fills.select("symbol", "timestamp", "price").rows()
    assert ["traded"] == fates(result)


def test_a_signal_of_a_symbol_that_is_never_priced_is_delivered_and_counted_apart():
    """Whoever looks for why nothing was traded finds it."""
    result, strategy = run(rows(("Z", at(1, 5), at(1, 5), 2.0), ("A", at(1, 5), at(1, 5), 1.0)))
    assert [(at(1, 5), {"A": 1.0, "Z": 2.0}, ["A", "Z"])] == strategy.batches
    assert {"A": "unused", "Z": "unknown-symbol"} == dict(result.signals.select("symbol", "fate").iter_rows())
    counts = {"rows": 2, "unused": 1, "unknown-symbol": 1}
    assert counts == {name: count for name, count in result.signal_counts["model"].items() if count}


def test_signals_known_before_the_first_bar_are_released_in_order_and_hold_at_it():
    """Of two releases before all data the last one counts; orders made then have no price to be sized by."""
    early = rows(("A", at(1), at(1), 1.0), ("A", at(1, 12), at(1, 12), 2.0))
    result, strategy = run(early, bars(hours=24, first=2), buy="A")
    assert [at(1), at(1, 12)] == [now for now, *_ in strategy.batches]
    assert {"A": 2.0} == strategy.slices[at(2, 1)][0]
    assert {"no-mark": 2} == result.refusals
    assert ["refused", "refused"] == fates(result)


@pytest.mark.parametrize(("valid_for", "held"), [("2d", 2.0), ("1d", None), ("100000d", 2.0)])
def test_what_was_known_before_the_start_holds_there_as_long_as_it_is_valid(valid_for, held):
    """A weekly prediction of the day before is not lost by a run that starts between two of them, warm-up or not."""
    signals = rows(("A", at(1, 5), at(1, 6), 1.0), ("A", at(2, 5), at(2, 6), 2.0), ("A", at(6, 5), at(6, 6), 3.0))
    strategy = Watcher()
    signal = {"use": "frame", "frame": signals, "valid_for": valid_for}
    settings = {"prices": bars(hours=120), "bar": "1h", "stamp": "open", "start": at(4)}
    result = Engine(**settings, signal=[signal], strategy=strategy).run()
    first = strategy.slices[at(4, 1)][0]["A"]
    assert np.isnan(first) if held is None else first == held
    assert [] == [moment for moment, *_ in strategy.batches if moment < at(4)]
    assert {"1d": 1, "2d": 2, "100000d": 3}[valid_for] == result.signals.height


def test_signals_known_after_the_last_bar_are_released_and_no_longer_traded():
    """The order they lead to finds no price."""
    result, strategy = run(rows(("A", at(6), at(6), 1.0)), buy="A")
    assert [at(6)] == [now for now, *_ in strategy.batches]
    assert 0 == result.fills.height
    assert 1 == result.signals.height


# --- how long they hold ----------------------------------------------------------------------------------


def test_without_valid_for_a_release_replaces_the_one_before():
    """B is missing from the second release, so that it has no value from then on."""
    first, second = at(1, 2), at(1, 4)
    signals = rows(("A", first, first, 1.0), ("B", first, first, 2.0), ("A", second, second, 3.0))
    _, strategy = run(signals, bars("AB"))
    assert {"A": 1.0, "B": 2.0} == strategy.slices[at(1, 3)][0]
    known, ages = strategy.slices[at(1, 5)]
    assert 3.0 == known["A"]
    assert np.isnan(known["B"])
    assert {"A": HOUR, "B": 3 * HOUR} == ages


def test_with_valid_for_each_symbol_keeps_its_value_until_it_is_that_old():
    """Three hours, the third included."""
    signals = rows(("A", at(1, 2), at(1, 2), 1.0), ("B", at(1, 3), at(1, 3), 2.0))
    _, strategy = run(signals, bars("AB"), valid_for="3h")
    assert {"A": 1.0, "B": 2.0} == strategy.slices[at(1, 5)][0]
    known, ages = strategy.slices[at(1, 6)]
    assert np.isnan(known["A"])
    assert (2.0, {"A": 4 * HOUR, "B": 3 * HOUR}) == (known["B"], ages)


def test_ages_are_minus_one_where_nothing_was_known():
    """And that of one symbol is a plain number."""
    _, strategy = run(rows(("B", at(1, 3), at(1, 3), 2.0)), bars("AB"))
    assert {"A": -1, "B": HOUR} == strategy.slices[at(1, 4)][1]


def test_what_is_said_later_of_earlier_days_never_replaces_what_was_said_of_later_ones():
    """A restatement of the day before comes at seven; the value of today stays."""
    signals = rows(
        ("A", at(1, 1), at(1, 2), 1.0),
        ("A", at(1, 5), at(1, 5), 2.0),
        ("A", at(1, 1), at(1, 7), 9.0),
        ("A", at(1, 5), at(1, 9), 2.5),
    )
    result, strategy = run(signals, valid_for="5d", buy="A")
    values = [strategy.slices[at(1, hour)][0]["A"] for hour in (3, 6, 8, 10)]
    assert [1.0, 2.0, 2.0, 2.5] == values
    assert {"A": HOUR} == strategy.slices[at(1, 10)][1]
    assert {"A": 3 * HOUR} == strategy.slices[at(1, 8)][1]
    assert ["traded", "traded", "late", "traded"] == fates(result)


def test_a_restated_row_counts_from_its_own_known_at():
    """The same symbol and event, known later; given twice at one instant it is refused."""
    signals = rows(("A", at(1, 1), at(1, 2), 1.0), ("A", at(1, 1), at(1, 6), 4.0))
    _, strategy = run(signals, valid_for="5d")
    assert [1.0, 4.0] == [strategy.slices[at(1, hour)][0]["A"] for hour in (5, 7)]
    other = ("A", at(1), at(1, 2), 3.0)
    for between in ((), (other,)):
        twice = rows(("A", at(1, 1), at(1, 2), 1.0), *between, ("A", at(1, 1), at(1, 2), 4.0))
        with pytest.raises(InputError, match="given before"):
            run(twice, valid_for="5d")


def test_a_row_without_a_number_takes_the_value_back():
    """It was withdrawn."""
    signals = rows(("A", at(1, 1), at(1, 1), 1.0), ("A", at(1, 4), at(1, 4), None))
    _, strategy = run(signals, valid_for="5d")
    assert 1.0 == strategy.slices[at(1, 3)][0]["A"]
    assert np.isnan(strategy.slices[at(1, 5)][0]["A"])


def test_of_rows_known_at_once_the_newest_event_counts():
    """A backfill of three events arrives in one piece, in no order."""
    signals = rows(*(("A", at(1, hour), at(1, 6), float(hour)) for hour in (4, 5, 3)))
    for settings in ({}, {"valid_for": "5d"}):
        result, strategy = run(signals, buy="A", **settings)
        assert 5.0 == strategy.slices[at(1, 7)][0]["A"]
        assert {"late": 2, "traded": 1} == {f: c for f, c in result.signal_counts["model"].items() if c and f != "rows"}


# --- what became of them ---------------------------------------------------------------------------------


def test_a_row_known_after_its_horizon_is_late():
    """It says something of the three hours after its event, which are over."""
    signals = rows(("A", at(1, 1), at(1, 4), 1.0), ("A", at(1, 2), at(1, 5, 1), 1.0))
    result, _ = run(signals, horizon="3h")
    assert ["unused", "late"] == fates(result)


def test_without_a_horizon_a_row_older_than_valid_for_is_late():
    """It would not have held any more when it came."""
    signals = rows(("A", at(1, 1), at(1, 4), 1.0), ("A", at(1, 2), at(1, 5, 1), 1.0))
    result, _ = run(signals, valid_for="3h")
    assert ["unused", "late"] == fates(result)


@pytest.mark.parametrize("settings", [{"valid_for": "100000d"}, {"valid_for": "5d", "horizon": "100000d"}])
def test_what_is_valid_for_ever_is_neither_late_nor_stale(settings):
    """Its end lies beyond what int64 nanoseconds hold."""
    result, strategy = run(rows(("A", at(1, 1), at(1, 4), 1.0)), buy="A", **settings)
    assert {1.0} == {values["A"] for now, (values, _) in strategy.slices.items() if now >= at(1, 4)}
    assert ["traded"] == fates(result)


def test_counts_of_each_source_are_in_the_manifest(tmp_path):
    """Rows, and how many had each fate."""
    signals = rows(("A", at(1, 1), at(1, 1), 1.0), ("Z", at(1, 1), at(1, 1), 1.0))
    result, _ = run(signals, buy="A")
    counts = {"rows": 2, "unused": 0, "stale": 0, "late": 0, "refused": 0, "traded": 1, "unknown-symbol": 1}
    assert {"model": counts} == result.manifest["signals"]


def test_training_is_proven_before_the_run():
    """The row is named, and no strategy is asked."""
    frame = pl.DataFrame(
        {
            "symbol": ["A", "A"],
            "timestamp": [date(2024, 1, 1), date(2024, 1, 2)],
            "score": [1.0, 2.0],
            "trained_through": [date(2023, 12, 31), date(2024, 1, 1)],
        }
    )
    run(frame, horizon="1d")
    with pytest.raises(InputError, match=r"row 0 \(A, 2024-01-01\): its model was trained through 2023-12-31"):
        run(frame, horizon="1d", embargo="1d")


def test_check_finds_training_that_had_not_ended_and_a_run_may_be_told_to_live_with_it():
    """The finding counts its rows; as a warning it is a note of the run."""
    frame = rows(("A", at(1, 1), at(1, 1), 1.0), ("A", at(1, 2), at(1, 2), 1.0), ("A", at(3), at(3), 1.0))
    signal = {"use": "frame", "frame": frame, "trained_through": date(2024, 1, 1)}
    settings = {"prices": bars(), "bar": "1h", "stamp": "open", "signal": [signal], "strategy": Watcher()}
    found = Engine(**settings, open=False).check().filter(pl.col("rule") == "known-too-early")
    assert [("error", 2)] == found.select("severity", "count").rows()
    with pytest.raises(InputError, match="trained through 2024-01-01"):
        Engine(**settings)
    result = Engine(**settings, gate={"known-too-early": "warning"}).run()
    assert any("trained through 2024-01-01" in note for note in result.notes)
