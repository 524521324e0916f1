"""What is delivered, and in which order, equals a plain sort, whatever the sources, their order and their batches."""

import os
from datetime import UTC, datetime

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.core.event import SignalEvent

EXAMPLES = int(os.environ.get("ML4T_ORDER_EXAMPLES", "40"))
START = int(datetime(2024, 1, 2, tzinfo=UTC).timestamp()) * 10**9
SECOND = 10**9
MINUTE = 60 * SECOND
KINDS = ("bar", "quote", "trade", "signal")


@st.composite
def sources(draw):
    """A source: its kind, rows (second, symbol, delay in seconds), in an order of arrival, and how it is read."""
    kind = draw(st.sampled_from(KINDS))
    step = 60 if kind == "bar" else 20
    seconds = st.integers(0, 360 // step).map(lambda number: number * step)
    size = draw(st.integers(0, 30))  # of its own, or most lists would be short
    row = st.tuples(seconds, st.sampled_from("ABCDE"), st.sampled_from([0, 0, 0, 7, 60, 61, 150]))
    rows = draw(st.lists(row, min_size=size, max_size=size))
    if kind in ("bar", "signal"):  # a symbol has one of these at a time
        rows = list({(second, symbol): (second, symbol, delay) for second, symbol, delay in rows}.values())
    return {
        "kind": kind,
        "rows": [*rows, (0, "A", 0)] if not any(row[:2] == (0, "A") for row in rows) or kind == "quote" else rows,
        "own": draw(st.booleans()),  # whether rows say themselves when they are known
        "latency": draw(st.sampled_from([0, 0, 5, 60])),
        "grace": draw(st.sampled_from([0, 0, 10])) if kind == "bar" else 0,
        "drives": draw(st.booleans()),
        "use": draw(st.sampled_from(["frame", "parquet"])),
        "batch": draw(st.sampled_from([0, 1, 2, 7])),
        "shuffle": draw(st.randoms(use_true_random=False)),
    }


def arrive(source):
    """Put rows into an order in which they may arrive; of quotes and trades that order says what came first."""
    rows = list(enumerate(source["rows"]))
    key = (lambda row: row[1][0] + row[1][2]) if source["own"] and source["kind"] != "bar" else lambda row: row[1][0]
    if source["kind"] in ("bar", "signal"):
        source["shuffle"].shuffle(rows)
        return sorted(rows, key=key) if source["shuffle"].random() < 0.5 else rows
    return sorted(rows, key=key)


def frame_of(source, number, rows):
    """Return the rows as a frame; each has a value of its own, 1,000 times the source's number + its own."""
    kind, own = source["kind"], source["own"]
    event = [START + second * SECOND for _, (second, _, _) in rows]
    known = [START + (second + delay) * SECOND for _, (second, _, delay) in rows]
    value = [float(1_000 * number + place + 1) for place, _ in rows]
    columns = {"symbol": [symbol for _, (_, symbol, _) in rows]}
    stamps = {"timestamp": event} if kind == "bar" else {"event_time": event}
    stamps |= {"known_at": known} if own else {}
    names = {"bar": ("open", "high", "low", "close"), "quote": ("bid", "ask"), "trade": ("price",)}
    frame = pl.DataFrame(columns | dict.fromkeys(names.get(kind, (f"score{number}",)), value) | stamps)
    return frame.with_columns(pl.col(*stamps).cast(pl.Datetime("ns", "UTC")))


def settings_of(source, number, frame, folder):
    """Return the table of a run file, or its keyword, that reads the frame."""
    table = {"use": source["use"], "name": f"s{number}", "sort": True, "batch_rows": source["batch"]}
    if source["use"] == "parquet":
        frame.write_parquet(folder / f"{number}.parquet", row_group_size=5)
        table["path"] = str(folder / f"{number}.parquet")
    else:
        table["frame"] = frame
    if source["kind"] == "bar":
        table |= {"bar": "1m", "stamp": "close", "prices": "raw", "grace": f"{source['grace']}s"}
    if source["kind"] != "signal":
        table["drives"] = source["drives"]
    return table | {"latency": f"{source['latency']}s"}


def known_at(source, second, delay):
    """Return when a row is known, in seconds from the start."""
    if source["kind"] == "bar":
        wait = source["latency"] + source["grace"]
        stated = second + delay if source["own"] else second
        if stated <= second + wait:
            return second + wait
        return -(-(stated - wait) // 60) * 60 + wait  # the next end of a bar whose slice is not yet gone
    return second + source["latency"] + (delay if source["own"] else 0)


def expected(made):
    """Sort all rows by when they are known, the order of sources, and the rules of ties."""
    out = []
    for place, (number, source, arrived) in enumerate(made):
        for arrival, (row, (second, symbol, delay)) in enumerate(arrived):
            at = known_at(source, second, delay)
            tie = (symbol, second) if source["kind"] in ("bar", "signal") else ("", arrival)
            out.append((START + at * SECOND, place, *tie, f"s{number}", symbol, float(1_000 * number + row + 1)))
    return [(row[0], *row[4:]) for row in sorted(out)]


class Recorder(Strategy):
    """Notes every event as it comes."""

    def __init__(self):
        self.seen, self.slices = [], []

    def on_event(self, event, context):
        """Note when it came, from where, about what, and its value."""
        now = int(context.now.timestamp()) * SECOND
        signal = isinstance(event, SignalEvent)
        source = event.source if signal else event.feed
        value = next(iter(event.values.values())) if signal else event.price
        assert event.event_time <= event.timestamp == now
        self.seen.append((now, source, event.symbol, value))

    def on_slice(self, market, context):
        """Note the instant."""
        self.slices.append(int(context.now.timestamp()) * SECOND)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=st.lists(sources(), min_size=1, max_size=5))
def test_events_come_in_the_order_of_a_plain_sort(drawn, tmp_path_factory):
    """By known_at, then source, then symbol or row of the source; each row once, none before it is known."""
    drawn = [{**drawn[0], "kind": "trade", "rows": [(0, "A", 0)], "drives": True}, *drawn]
    folder = tmp_path_factory.mktemp("sources")
    made, tables = [], {"feed": [], "signal": []}
    for number, source in enumerate(drawn):
        arrived = arrive(source)
        made.append((number, source, arrived))
        kind = "signal" if source["kind"] == "signal" else "feed"
        tables[kind].append(settings_of(source, number, frame_of(source, number, arrived), folder))
    made.sort(key=lambda entry: entry[1]["kind"] == "signal")  # feeds stand before signals
    strategy = Recorder()
    Engine(**tables, strategy=strategy, capital={"USD": 1_000.0}, calendar="24/7").run()
    driving = {f"s{number}" for number, source, _ in made if source["drives"] or source["kind"] == "signal"}
    rows = expected(made)
    assert [row for row in rows if row[1] in driving] == strategy.seen
    prices = {f"s{number}" for number, source, _ in made if source["drives"] and source["kind"] != "signal"}
    assert sorted({row[0] for row in rows if row[1] in prices}) == strategy.slices
