"""Each rule of the gate finds what it is for, and says nothing about clean data."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.core.sessions import DAY_NS, NO_BREAK, SESSION_DTYPE, AlwaysOpen, SessionTable
from ml4t.backtest.errors import DataError, RunFileError
from ml4t.backtest.interfaces import FeedConfig, Window
from ml4t.backtest.interfaces.gate import SignalConfig
from ml4t_backtest_gate_standard.findings.rules import RULES, read_severities
from ml4t_backtest_gate_standard.gate import StandardGate

DAYS = [date(2024, 1, 1) + timedelta(days=day) for day in range(200)]
WEEKDAYS = [day for day in DAYS if day.weekday() < 5]
MINUTE = 60 * 10**9
OPEN, CLOSE = 14 * 60 + 30, 21 * 60
NO_ACTIONS = pl.DataFrame(schema={"symbol": pl.String, "kind": pl.String, "ex_date": pl.Date})


def exchange():
    """Return a calendar of weekdays from 14:30 to 21:00 UTC."""
    table = np.full(len(WEEKDAYS), NO_BREAK, SESSION_DTYPE)
    labels = np.array([(day - date(1970, 1, 1)).days for day in WEEKDAYS])
    table["label"] = labels
    table["open"], table["close"] = labels * DAY_NS + OPEN * MINUTE, labels * DAY_NS + CLOSE * MINUTE
    return SessionTable(table, timezone="UTC", name="TEST")


def always():
    """Return the calendar of a run that names none."""
    calendar = AlwaysOpen()
    return SessionTable(calendar.sessions(DAYS[0], DAYS[-1]), timezone="UTC", name=calendar.name)


def walk(symbols="ABCDEF", days=WEEKDAYS, seed=7, **columns):
    """Return daily bars of independent random walks, by symbol, then by day."""
    random = np.random.default_rng(seed)
    frames = []
    for symbol in symbols:
        close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, len(days))))
        opens = close * np.exp(random.normal(0, 0.002, len(days)))
        frame = {"symbol": symbol, "timestamp": days, "open": opens, "close": close}
        frame |= {"high": np.maximum(opens, close) * 1.001, "low": np.minimum(opens, close) * 0.999}
        frames.append(pl.DataFrame({**frame, "volume": random.integers(100, 1000, len(days)).astype(float)}))
    return pl.concat(frames).with_columns(**columns)


def minutes(symbols="AB", days=WEEKDAYS[:5], seed=7, first=OPEN, last=CLOSE, step=5):
    """Return 5-minute bars stamped at their open, by symbol, then by time."""
    stamps = [
        datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minute)
        for day in days
        for minute in range(first, last, step)
    ]
    return walk(symbols, stamps, seed)


def check(*sources, sessions=None, actions=NO_ACTIONS, **settings):
    """Return the findings in sources, each a frame with its settings or a pair of them."""
    gate = StandardGate({name.replace("_", "-"): value for name, value in settings.items()}, survey=True)
    calendars = {"": sessions or exchange()}
    for number, (frame, config) in enumerate(sources):
        name = f"source{number}"
        try:
            gate.open_rows(frame.lazy(), config, Window(), name=name, origin=f"{name}.parquet")
        except DataError:
            continue  # the gate has kept why
    return gate.findings(calendars, actions, {})


def rules_of(*sources, **options):
    """Return the rules that something was found by."""
    return [] if (found := check(*sources, **options)).is_empty() else sorted(found["rule"].unique().to_list())


BAR, OPENS, CLOSES = FeedConfig(prices="raw"), FeedConfig(bar="5m", stamp="open"), FeedConfig(bar="5m", stamp="close")


@pytest.mark.parametrize("sessions", [exchange(), always()], ids=["exchange", "24/7"])
@pytest.mark.parametrize("seed", range(5))
def test_clean_daily_bars_and_signals_have_no_findings(sessions, seed):
    """A false alarm costs more trust than a missed note."""
    bars = walk(seed=seed)
    noise = np.random.default_rng(1000 + seed).normal(size=bars.height)
    signals = bars.select("symbol", "timestamp", score=pl.Series(noise))
    assert [] == rules_of((bars, BAR), (signals, SignalConfig(latency="0s")), sessions=sessions)


@pytest.mark.parametrize("config", [OPENS, CLOSES], ids=["open", "close"])
def test_clean_minutes_have_no_findings(config):
    """Bars that fill their sessions, stamped at either end and said so."""
    bars = minutes()
    shift = pl.duration(minutes=5 if config is CLOSES else 0)
    assert [] == rules_of((bars.with_columns(pl.col("timestamp") + shift), config))


def one(column, value, row=10):
    """Return clean bars with one value replaced."""
    bars = walk()
    return bars.with_columns(pl.when(pl.int_range(pl.len()) == row).then(value).otherwise(column).alias(column))


@pytest.mark.parametrize(
    ("rule", "frame"),
    [
        ("missing-value", one("close", None)),
        ("missing-value", one("close", float("nan"))),
        ("infinite-value", one("close", float("inf"))),
        ("nonpositive-price", one("low", 0.0)),
        ("negative-size", one("volume", -1.0)),
        ("zero-volume", one("volume", 0.0)),
        ("high-below-low", one("high", 1.0)),
        ("close-outside-range", one("close", 1.0)),
        ("duplicate-rows", pl.concat([walk(), walk()[3:4]])),
        ("unsorted-rows", pl.concat([walk("A")[50:], walk("A")[:50], walk("B")])),
        ("missing-key", one("symbol", None)),
        (
            "not-a-number",
            walk()
            .with_columns(pl.col("close").cast(pl.String))
            .vstack(walk("G")[:1].with_columns(close=pl.lit("n/a"))),
        ),
        ("missing-session", walk().filter(pl.int_range(pl.len()) != 10)),
        ("holiday-rows", walk(days=[*WEEKDAYS[:5], DAYS[5], *WEEKDAYS[5:]])),
        ("symbols-appear", walk().filter((pl.col("symbol") != "B") | (pl.col("timestamp") > WEEKDAYS[20]))),
        ("symbols-vanish", walk().filter((pl.col("symbol") != "B") | (pl.col("timestamp") < WEEKDAYS[-20]))),
    ],
)
def test_a_planted_fault_in_daily_bars_is_found(rule, frame):
    """One fault, and the rule that is for it."""
    assert rule in rules_of((frame, BAR))


def test_a_finding_names_rows_and_counts_them():
    """The first three rows, with their numbers in the input."""
    bars = walk("A").with_columns(volume=pl.when(pl.int_range(pl.len()) < 5).then(0.0).otherwise("volume"))
    found = check((bars, BAR)).row(0, named=True)
    assert ("zero-volume", "note", "A", 5) == tuple(found[name] for name in ("rule", "severity", "symbol", "count"))
    assert ["source0.parquet row 0 (A, 2024-01-01)", "source0.parquet row 1 (A, 2024-01-02)"] == found["rows"][:2]
    assert 3 == len(found["rows"])


def test_a_split_without_action_is_found_and_one_with_it_is_not():
    """Seven for one, with the moves of a day beside it."""
    day = WEEKDAYS[40]
    split = pl.when((pl.col("symbol") == "A") & (pl.col("timestamp") >= day)).then(7.0).otherwise(1.0)
    bars = walk().with_columns(pl.col("open", "high", "low", "close") / split)
    found = check((bars, BAR)).row(0, named=True)
    assert ("unadjusted-split", "A", 1) == tuple(found[name] for name in ("rule", "symbol", "count"))
    assert found["rows"] == [f"source0.parquet row 40 (A, {day}) like 7 for 1"]
    actions = pl.DataFrame({"symbol": ["A"], "kind": ["split"], "ex_date": [day]})
    assert [] == rules_of((bars, BAR), actions=actions)


@pytest.mark.parametrize("ratio", [2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 0.5, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_splits_of_all_usual_ratios_are_found(ratio, seed):
    """Forward and reverse."""
    split = pl.when((pl.col("symbol") == "A") & (pl.col("timestamp") >= WEEKDAYS[40])).then(ratio).otherwise(1.0)
    assert ["unadjusted-split"] == rules_of(
        (walk(seed=seed).with_columns(pl.col("open", "high", "low", "close") / split), BAR)
    )


def test_a_day_on_which_all_fall_by_half_is_no_split():
    """A market that halves, or an input in other units, is something else."""
    halved = pl.when(pl.col("timestamp") >= WEEKDAYS[40]).then(2.0).otherwise(1.0)
    assert [] == rules_of((walk().with_columns(pl.col("open", "high", "low", "close") / halved), BAR))


def test_one_bad_tick_is_no_split():
    """The price comes back on the next day."""
    row = pl.when((pl.col("symbol") == "A") & (pl.col("timestamp") == WEEKDAYS[40])).then(2.0).otherwise(1.0)
    assert [] == rules_of((walk().with_columns(pl.col("open", "high", "low", "close") / row), BAR))


def test_a_close_that_stands_still_is_found():
    """Thirty sessions of one price, as a vendor fills them in."""
    still = (pl.col("symbol") == "A") & pl.col("timestamp").is_between(WEEKDAYS[40], WEEKDAYS[69])
    bars = walk().with_columns(pl.when(still).then(50.0).otherwise(pl.col("open", "high", "low", "close")).name.keep())
    found = check((bars, BAR)).filter(rule="stale-prices").row(0, named=True)
    assert ("A", 30) == (found["symbol"], found["count"])


def test_bars_said_to_be_stamped_at_the_close_but_stamped_at_the_open_are_found():
    """The first bar of each session would end as it opens."""
    assert ["open-stamped"] == rules_of((minutes(), CLOSES))


def test_rows_outside_of_sessions_are_found():
    """An hour before the open, said to be inside."""
    found = check((minutes(first=OPEN - 60), OPENS))
    assert [("outside-session", 2 * 5 * 12)] == found.select("rule", "count").rows()


def test_missing_bars_within_a_session_are_counted():
    """Ten bars of one day."""
    bars = minutes().with_row_index("#").filter(~pl.col("#").is_between(20, 29)).drop("#")
    assert [("gaps", 10)] == check((bars, OPENS)).select("rule", "count").rows()


def test_a_lunch_break_is_no_gap():
    """Bars before and after it follow one another."""
    table = exchange()
    data = table.data.copy()
    data["break_start"], data["break_end"] = data["open"] + 60 * MINUTE, data["open"] + 120 * MINUTE
    lunch = SessionTable(data, timezone="UTC", name="LUNCH")
    minute = pl.col("timestamp").dt.hour().cast(pl.Int32) * 60 + pl.col("timestamp").dt.minute()
    bars = minutes().filter(~minute.is_between(OPEN + 60, OPEN + 119))
    assert [] == rules_of((bars, OPENS), sessions=lunch)
    assert ["outside-session"] == rules_of((minutes(), OPENS), sessions=lunch)


@pytest.mark.parametrize(
    ("config", "rule"),
    [(FeedConfig(bar="5m", stamp="open"), "naive-stamps"), (FeedConfig(timezone="UTC"), "unclear-stamps")],
)
def test_stamps_that_could_mean_several_things_are_found(config, rule):
    """Without a zone, or without the end of the bar that they are."""
    naive = minutes().with_columns(pl.col("timestamp").dt.replace_time_zone(None))
    assert [rule] == rules_of((naive, config))


def test_days_written_in_two_zones_are_found():
    """Midnights of one zone are five in the morning in another."""
    stamps = pl.col("timestamp").cast(pl.Datetime("us", "UTC"))
    east = pl.when(pl.col("symbol") == "A").then(stamps + pl.duration(hours=5)).otherwise(stamps)
    assert ["mixed-zones"] == rules_of((walk(timestamp=east), FeedConfig(bar="1d")))


def test_quotes_that_cross_are_found():
    """A bid above its ask."""
    quotes = minutes().select("symbol", event_time="timestamp", bid="low", ask="high")
    config = FeedConfig(latency="0s")
    assert [] == rules_of((quotes, config))
    assert ["crossed-quote"] == rules_of((quotes.with_columns(bid=pl.col("ask") + 1), config))


def test_rows_known_before_they_happened_are_found():
    """A clock that is ahead of the exchange's, and a bar that is known before its end."""
    stamps = pl.col("timestamp")
    quotes = minutes().select("symbol", "low", event_time=stamps, known_at=stamps - pl.duration(seconds=1))
    quotes = quotes.select("symbol", "event_time", "known_at", bid="low", ask="low")
    assert ["negative-latency"] == rules_of((quotes, FeedConfig()))
    bars = minutes().with_columns(known_at=stamps + pl.duration(minutes=4))
    assert ["negative-latency"] == rules_of((bars, OPENS))
    signals = quotes.select("symbol", "event_time", "known_at", score="bid")
    assert "known-too-early" in rules_of((signals, SignalConfig()))


def test_a_run_refuses_what_is_known_before_it_happened():
    """Not only ``check`` sees it."""
    stamps = pl.col("timestamp")
    quotes = minutes().select(
        "symbol", event_time=stamps, known_at=stamps - pl.duration(seconds=1), bid="low", ask="low"
    )
    with pytest.raises(DataError, match="known_at is before event_time"):
        StandardGate().open_rows(quotes.lazy(), FeedConfig(), Window(), name="quotes", origin="quotes.parquet")


def test_signals_about_symbols_without_prices_are_found():
    """Two names that no feed has."""
    signals = walk("AYZ").select("symbol", "timestamp", score="volume")
    found = check((walk(), BAR), (signals, SignalConfig(latency="0s"))).filter(rule="unknown-symbols")
    assert [2] == found["count"].to_list()


def test_symbols_that_settings_ask_for_in_vain_are_found():
    """A misspelt name in ``symbols`` is one that nothing else would tell of."""
    found = check((walk("AB"), replace(BAR, symbols=("A", "C", "D")))).filter(rule="unknown-symbols")
    assert [(2, "settings ask for symbols without a row: C, D")] == found.select("count", "what").rows()


@pytest.mark.parametrize("symbols", ["ABCDEFGH", "A"], ids=["cross-section", "one symbol"])
@pytest.mark.parametrize("lag", [-2, 0])
def test_a_signal_that_knows_the_past_only_is_found(symbols, lag):
    """The return of a bar that was over, with noise."""
    bars = walk(symbols)
    past = pl.col("close").log().diff().over("symbol").shift(-lag).over("symbol")
    noise = pl.Series(np.random.default_rng(3).normal(0, 0.005, bars.height))
    signals = bars.select("symbol", "timestamp", score=past + noise).drop_nulls()
    found = check((bars, BAR), (signals, SignalConfig(latency="0s")))
    assert ["signal-leak"] == found["rule"].to_list()
    assert f"at lag {lag}" in found["what"][0]


def test_a_signal_that_knows_the_next_return_is_found():
    """Nobody forecasts like that."""
    bars = walk()
    future = pl.col("close").log().diff().shift(-1).over("symbol")
    signals = bars.select("symbol", "timestamp", score=future).drop_nulls()
    found = check((bars, BAR), (signals, SignalConfig(latency="0s")))
    assert ["signal-leak"] == found["rule"].to_list()
    assert "too well" in found["what"][0]


def test_a_good_forecast_is_no_leak():
    """An IC of about a tenth is what one hopes for."""
    bars = walk("ABCDEFGHIJKLMNOPQRST")
    future = pl.col("close").log().diff().shift(-1).over("symbol")
    noise = pl.Series(np.random.default_rng(3).normal(0, 0.1, bars.height))
    signals = bars.select("symbol", "timestamp", score=future + noise).drop_nulls()
    assert [] == rules_of((bars, BAR), (signals, SignalConfig(latency="0s")))


@pytest.mark.parametrize(
    ("frame", "rule"),
    [(walk().drop("close"), "missing-column"), (walk().clear(), "unreadable")],
)
def test_an_input_that_cannot_be_used_at_all_is_a_finding(frame, rule):
    """The other sources are looked at all the same."""
    assert [rule, "zero-volume"] == rules_of((frame, BAR), (one("volume", 0.0), BAR))


def test_large_inputs_are_looked_at_in_groups_of_symbols(monkeypatch):
    """What is found does not depend on how many symbols are looked at together."""
    frame = walk().with_columns(volume=pl.when(pl.int_range(pl.len()) % 7 == 0).then(0.0).otherwise("volume"))
    frame = frame.filter(pl.int_range(pl.len()) % 50 != 13)
    whole = check((frame, BAR))
    monkeypatch.setattr("ml4t_backtest_gate_standard.findings.rows._CHUNK", 200)
    assert whole.equals(check((frame, BAR)))


def test_every_rule_has_a_severity_and_settings_change_it():
    """Names are lower case with dashes, and the worst is shown first."""
    assert {"error", "warning", "note"} == {rule.severity for rule in RULES.values()}
    frame = one("volume", 0.0)
    assert ["error"] == check((frame, BAR), zero_volume="error")["severity"].to_list()
    assert [] == rules_of((frame, BAR), zero_volume="ignore")


def test_unknown_rules_and_severities_are_refused_together():
    """All that is wrong, in one report."""
    settings = {"zero-volumes": "note", "gaps": "fatal", "duplicate-rows": "note"}
    with pytest.raises(RunFileError) as error:
        read_severities(settings)
    assert 3 == len(error.value.problems)
    assert "did you mean zero-volume" in error.value.problems[0]
