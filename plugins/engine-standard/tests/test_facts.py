"""Tables of facts: what is known of them when, and what a strategy gets."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Strategy
from ml4t.backtest.errors import DataError, LookAheadError, RunError, RunFileError

DAYS = [date(2024, 1, day) for day in range(1, 6)]


def at(day, hour=0, month=1):
    return datetime(2024, month, day, hour, tzinfo=UTC)


def prices(symbols="AB", days=DAYS):
    """A bar a day for each symbol."""
    rows = [(day, symbol, 10.0, 10.0) for day in days for symbol in symbols]
    return pl.DataFrame(rows, schema=["timestamp", "symbol", "open", "close"], orient="row")


def facts(*rows, names=("symbol", "event_time", "known_at", "eps")):
    return pl.DataFrame(rows, schema=list(names), orient="row")


class Asking(Strategy):
    """Note what a function of the context returns, by the day that ended."""

    def __init__(self, ask):
        self.ask, self.told = ask, {}

    def on_slice(self, market, context):
        self.told[(context.now - timedelta(days=1)).day] = self.ask(context)


@pytest.fixture
def ask(kit):
    """Run a question over daily bars of A and B and return its answers by day."""

    def ask(question, frame=None, **settings):
        strategy = Asking(question)
        settings.setdefault("start", None)
        kit.run(strategy, kit.Source(prices() if frame is None else frame), **settings)
        return strategy.told

    return ask


def same(expected, got):
    np.testing.assert_array_equal(np.array(expected, float), got)


RESTATED = facts(
    ("A", at(1), at(2, 12), 1.0),
    ("A", at(2), at(3, 12), 2.0),
    ("A", at(2), at(4, 12), 2.5),
    ("A", at(1), at(5, 12), 9.0),
    ("B", at(1), at(4), 7.0),
)


def test_the_newest_event_known_now_counts_and_its_last_version(ask):
    """A restated figure replaces from when it is known; an older one that comes late does not."""
    told = ask(lambda context: context.asof("f", "eps"), tables={"f": RESTATED})
    for day, expected in {1: [np.nan, np.nan], 2: [1, np.nan], 3: [2, 7], 4: [2.5, 7], 5: [2.5, 7]}.items():
        same(expected, told[day])


def test_a_row_known_at_the_instant_of_a_slice_is_seen_by_it(ask):
    """B's row is known at midnight of the fourth, when the bars of the third are."""
    told = ask(lambda context: context.asof("f", "eps", symbol="B"), tables={"f": RESTATED})
    assert np.isnan(told[2])
    assert told[3] == 7.0
    assert isinstance(told[3], float)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_rows_changes_nothing(ask, seed):
    shuffled = RESTATED.sample(fraction=1.0, shuffle=True, seed=seed)
    told = ask(lambda context: context.asof("f", "eps").tolist(), tables={"f": shuffled})
    assert told[4] == [2.5, 7.0]
    assert told[2][0] == 1.0


@pytest.mark.parametrize("age", ["2d", timedelta(days=2), 2 * 86_400 * 10**9])
def test_what_is_older_than_max_age_is_unknown(ask, age):
    """The age is that of event_time: restating a figure makes it no younger."""
    told = ask(lambda context: context.asof("f", "eps", max_age=age), tables={"f": RESTATED})
    for day, expected in {2: [1, np.nan], 3: [2, np.nan], 4: [np.nan, np.nan]}.items():
        same(expected if day != 4 else [np.nan, np.nan], told[day])


def test_a_row_announced_in_advance_counts_from_its_event_time(ask):
    """It is in the window as soon as it is known."""
    table = facts(("A", at(1), at(1), 1.0), ("A", at(4), at(2), 2.0))
    told = ask(lambda context: (context.asof("f", "eps")[0], context.window("f").height), tables={"f": table})
    assert told == {1: (1.0, 2), 2: (1.0, 2), 3: (2.0, 2), 4: (2.0, 2), 5: (2.0, 2)}


def test_the_newest_row_counts_whole(ask):
    """Where its field is empty the value is unknown, whatever was said before."""
    table = facts(("A", at(1), at(2), 1.0), ("A", at(3), at(3), None))
    told = ask(lambda context: context.asof("f", "eps")[0], tables={"f": table})
    assert told[1] == 1.0
    assert np.isnan(told[2])


def test_each_type_of_field_comes_as_itself(ask):
    """Numbers and booleans as float64, dates as datetime64, text as a list."""
    rows = {
        "symbol": ["B"], "event_time": [at(1)], "known_at": [at(1)], "n": [3], "yes": [True], "no": [False],
        "day": [date(2023, 5, 1)], "moment": [at(1, 9)], "text": ["tech"],
    }  # fmt: skip
    names = ("n", "yes", "no", "day", "moment", "text")
    told = ask(lambda context: {name: context.asof("f", name) for name in names}, tables={"f": pl.DataFrame(rows)})
    got = told[1]
    same([np.nan, 3], got["n"])
    same([np.nan, 1], got["yes"])
    same([np.nan, 0], got["no"])
    assert got["day"].dtype == got["moment"].dtype == np.dtype("datetime64[ns]")
    assert np.isnat(got["day"][0])
    assert got["day"][1] == np.datetime64("2023-05-01")
    assert got["moment"][1] == np.datetime64("2024-01-01T09:00")
    assert got["text"] == [None, "tech"]


def test_a_table_without_symbols_is_about_everything(ask):
    """It answers with one value."""
    table = pl.DataFrame({"date": DAYS[:2], "rate": [5.0, 5.25], "mood": ["calm", None]})
    ways = {"rate": lambda c: c.asof("m", "rate"), "mood": lambda c: c.asof("m", "mood"), "of": lambda c: c.window("m")}
    told = ask(lambda context: {name: way(context) for name, way in ways.items()}, tables={"m": table})
    assert told[1]["rate"] == 5.0
    assert told[2]["rate"] == 5.25
    assert isinstance(told[1]["rate"], float)
    assert [told[1]["mood"], told[2]["mood"]] == ["calm", None]
    assert told[1]["of"].columns == ["event_time", "known_at", "rate", "mood"]
    assert told[5]["of"].height == 2


def test_before_the_first_row_nothing_is_known(ask):
    table = pl.DataFrame({"date": [DAYS[4]], "rate": [5.0], "mood": ["calm"]})
    told = ask(lambda context: (context.asof("m", "rate"), context.asof("m", "mood")), tables={"m": table})
    assert np.isnan(told[1][0])
    assert told[1][1] is None
    assert told[5] == (5.0, "calm")


def test_labels_are_known_at_the_close_plus_latency(ask):
    """A date is a session; its row comes half a day after that session's close."""
    table = {"frame": pl.DataFrame({"date": DAYS, "symbol": ["A"] * 5, "x": [1.0, 2, 3, 4, 5]}), "latency": "12h"}
    told = ask(lambda context: context.asof("f", "x")[0], tables={"f": table})
    assert np.isnan(told[1])
    assert [told[day] for day in (2, 3, 4, 5)] == [1, 2, 3, 4]


def test_event_time_and_latency_say_when_rows_are_known(ask):
    table = pl.DataFrame({"event_time": [datetime(2024, 1, 1, 22)], "symbol": ["A"], "x": [1.0]})
    frame = {"frame": table, "latency": "0s", "timezone": "America/New_York"}
    told = ask(lambda context: context.asof("f", "x")[0], tables={"f": frame})
    assert np.isnan(told[1])
    assert told[2] == 1.0


def test_what_a_table_says_of_a_symbol_is_there_when_the_symbol_is(ask):
    """A table adds no symbol; of one that is listed later it is known from its first bar on."""
    frame = pl.concat([prices("A"), prices("C", DAYS[2:])]).sort("timestamp", "symbol")
    table = facts(("C", at(1), at(1), 3.0), ("Z", at(1), at(1), 4.0))
    told = ask(lambda context: (context.symbols, context.asof("f", "eps").tolist()), frame, tables={"f": table})
    assert told[2][0] == ("A",)
    assert len(told[2][1]) == 1
    assert told[3][0] == ("A", "C")
    assert told[3][1][1] == 3.0


def test_a_reused_ticker_never_joins_two_companies(ask):
    """What was known of the company that had the ticker first stays with it."""
    instruments = [
        {"symbol": "X", "entity": "old", "listed_to": DAYS[1]},
        {"symbol": "X", "entity": "new", "listed_from": DAYS[2]},
    ]
    table = facts(("X", at(1), at(1), 1.0), ("X", at(4), at(4), 2.0))
    question = lambda context: dict(zip(context.symbols, context.asof("f", "eps").tolist(), strict=True))  # noqa: E731
    told = ask(question, prices("X"), tables={"f": table}, instruments=instruments)
    assert told[1] == {"X": 1.0}
    assert told[4] == {"X (old)": 1.0, "X": 2.0}
    assert np.isnan(ask(question, prices("X"), tables={"f": table[:1]}, instruments=instruments)[4]["X"])


def test_the_window_has_the_newest_versions_or_all(ask):
    """Rows of companies without a column are in it too."""
    table = pl.concat([RESTATED, facts(("Z", at(1), at(1), 0.5))])
    told = ask(lambda context: (context.window("f"), context.window("f", "eps", versions="all")), tables={"f": table})
    newest, every = told[4]
    assert newest.sort("symbol", "event_time").select("symbol", "eps").rows() == [
        ("A", 1.0), ("A", 2.5), ("B", 7.0), ("Z", 0.5),
    ]  # fmt: skip
    assert every["eps"].to_list() == [0.5, 1.0, 2.0, 7.0, 2.5]
    assert told[1][1].height == 1
    assert every.schema == {
        "symbol": pl.String,
        "event_time": pl.Datetime("ns", "UTC"),
        "known_at": pl.Datetime("ns", "UTC"),
        "eps": pl.Float64,
    }


def test_the_window_is_bounded_by_event_time(ask):
    told = ask(lambda context: context.window("f", since=at(2), until=at(2)), tables={"f": RESTATED})
    assert told[5]["eps"].to_list() == [2.5]


def test_the_window_keeps_types(ask):
    """Booleans, dates and text come out as they went in, empty where they were."""
    table = pl.DataFrame(
        {
            "symbol": ["A", "B"],
            "event_time": [at(1)] * 2,
            "known_at": [at(1)] * 2,
            "yes": [True, None],
            "day": [None, date(2020, 2, 29)],
            "moment": [at(1), None],
            "text": ["x", None],
        }
    )
    told = ask(lambda context: context.window("f"), tables={"f": table})
    expected = table.with_columns(pl.col("event_time", "known_at", "moment").cast(pl.Datetime("ns", "UTC")))
    assert told[1].equals(expected)
    assert told[1].schema == expected.schema


def test_unknown_names_are_said_with_what_is_near(ask):
    def question(context):
        for call, message in (
            (lambda: context.asof("g", "eps"), "no table 'g'; known are f"),
            (lambda: context.asof("ff", "eps"), 'did you mean "f"'),
            (lambda: context.asof("f", "epss"), "table 'f' has no field 'epss'; did you mean \"eps\""),
            (lambda: context.asof("f", "zzz"), "it has eps"),
            (lambda: context.window("f", "epss"), 'did you mean "eps"'),
            (lambda: context.asof("f", "eps", max_age="3 days"), "max_age was '3 days': write a duration"),
        ):
            with pytest.raises(LookAheadError, match=message):
                call()
        with pytest.raises(RunError, match='it is "newest" or "all"'):
            context.window("f", versions="some")
        return True

    assert all(ask(question, tables={"f": RESTATED}).values())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pl.DataFrame({"symbol": ["A"], "x": [1.0]}), "table f: no column known_at or event_time; it has symbol, x"),
        (
            pl.DataFrame({"symbol": ["A"], "timestamp": [at(1, 9)], "x": [1.0]}),
            'when its rows are known; add to this table\n    columns = { event_time = "timestamp" }',
        ),
        (pl.DataFrame({"symbol": ["A"], "event_time": [at(1, 9)], "x": [1.0]}), 'latency = "0s"'),
        (pl.DataFrame({"symbol": ["A"], "known_at": [datetime(2024, 1, 1, 9)], "x": [1.0]}), 'timezone = "America'),
        (pl.DataFrame({"symbol": ["A"], "known_at": ["soon"], "x": [1.0]}), "known_at is String; give dates"),
        (pl.DataFrame({"symbol": ["A", None], "known_at": DAYS[:2], "x": [1.0, 2.0]}), "row 1: has no symbol"),
        (pl.DataFrame({"symbol": ["A", "A"], "known_at": DAYS[:1] * 2, "x": [1.0, 2.0]}), "row 1: says something of"),
        (pl.DataFrame({"symbol": ["A", "A"], "known_at": [DAYS[0], None], "x": [1.0, 2.0]}), "row 1: known_at is None"),
        (pl.DataFrame({"symbol": ["A"], "known_at": DAYS[:1]}), "no column of values; it has symbol, known_at"),
    ],
)  # fmt: skip
def test_tables_that_do_not_say_what_they_mean_are_refused(ask, table, message):
    """Before the run, with what to add."""
    with pytest.raises(DataError) as caught:
        ask(lambda context: None, tables={"f": table})
    assert message in str(caught.value)


def test_a_column_of_another_type_is_left_out_with_a_note(kit):
    table = RESTATED.with_columns(tags=pl.Series([["a"]] * len(RESTATED)))
    result = kit.run(Asking(lambda context: None), kit.Source(prices()), tables={"f": table})
    assert any("table f: tags (List(String)) left out" in note for note in result.notes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"table": {"frame": RESTATED}}, 'table.0 has no key "name"'),
        ({"table": [{"name": "f", "frame": RESTATED}] * 2}, "table.1.name was 'f', as another table is called"),
        ({"tables": {"prices": RESTATED}}, "table.0.name was 'prices', as a feed or signal is called"),
        ({"universe": {"table": "g"}, "tables": {"f": RESTATED}}, "universe.table was 'g', which no table is called"),
        ({"universe": {"table": "f", "path": "x"}, "tables": {"f": RESTATED}}, "universe.path is given beside table"),
        ({"tables": {"f": {"frame": RESTATED, "latency": 5}}}, "table.0.latency was 5, expected str"),
        ({"tables": {"f": {"frame": RESTATED, "late": "5d"}}}, "table.0.late is not a known key"),
    ],
)  # fmt: skip
def test_settings_that_fit_nothing_are_named(kit, settings, message):
    with pytest.raises(RunFileError) as caught:
        kit.run(Asking(lambda context: None), kit.Source(prices()), **settings)
    assert message in str(caught.value)


# --- the universe -----------------------------------------------------------------------------------------


def test_intervals_count_from_the_first_open_to_the_last_close(ask):
    """At the close of its last day a symbol is no member; where every day is a session, that is the next one's open."""
    table = pl.DataFrame({"symbol": ["A", "B"], "from": [None, DAYS[2]], "to": [DAYS[3], None]})
    told = ask(lambda context: context.universe.tolist(), universe=table)
    assert told == {1: [True, False], 2: [True, True], 3: [True, True], 4: [False, True], 5: [False, True]}


@pytest.mark.parametrize("names", [("from", "to"), ("since", "until")])
def test_an_edge_known_later_counts_later_and_one_known_before_does_not_count_before(ask, names):
    first, last = names
    table = pl.DataFrame(
        {
            "symbol": ["A", "B"],
            first: [DAYS[1], DAYS[3]],
            last: [DAYS[2], None],
            f"{first}_known_at": [at(3, 12), at(1)],
            f"{last}_known_at": [at(5, 12), None],
        }
    )
    told = ask(lambda context: context.universe.tolist(), universe=table)
    assert [told[day][0] for day in range(1, 6)] == [False, False, True, True, False]
    assert [told[day][1] for day in range(1, 6)] == [False, False, True, True, True]


def test_membership_may_come_as_facts(ask):
    """Rows with ``member``, by the rules of all tables; text that spells a boolean will do."""
    table = facts(
        ("A", at(1), at(1), "true"), ("A", at(3), at(3), "False"), names=("symbol", "event_time", "known_at", "member")
    )  # fmt: skip
    told = ask(lambda context: context.universe.tolist(), tables={"m": table}, universe="m")
    assert [told[day] for day in (1, 2)] == [[True, False], [False, False]]


def test_intervals_that_meet_are_one(ask):
    """Without a gap in between there is no edge."""
    table = pl.DataFrame({"symbol": ["A", "A"], "from": DAYS[0:4:2], "to": [DAYS[1], None]})
    told = ask(lambda context: (context.universe[0], context.window("universe").height), universe=table)
    assert all(told[day][0] for day in told)
    assert told[5][1] == 2


def test_the_table_of_members_is_a_table_like_others(ask):
    table = pl.DataFrame({"symbol": ["A"], "from": [DAYS[1]], "to": [DAYS[2]]})
    told = ask(lambda context: context.asof("m", "member")[0], tables={"m": table}, universe={"table": "m"})
    assert told == {1: 1.0, 2: 1.0, 3: 0.0, 4: 0.0, 5: 0.0}


def test_leaving_removes_no_column_and_no_position(kit):
    class Holding(Strategy):
        def __init__(self):
            self.seen = []

        def on_slice(self, market, context):
            if not self.seen:
                context.order("A", 5.0)
            self.seen.append((context.symbols, bool(context.universe[0]), context.position("A").quantity))

    strategy = Holding()
    table = pl.DataFrame({"symbol": ["A"], "to": [DAYS[1]]})
    kit.run(strategy, kit.Source(prices("A")), universe=table)
    assert strategy.seen[-1] == (("A",), False, 5.0)
    assert strategy.seen[0][1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pl.DataFrame({"symbol": ["A"] * 2, "from": DAYS[:2], "to": [DAYS[1], None]}), "row 1: begins before"),
        (pl.DataFrame({"symbol": ["A"], "from": [DAYS[2]], "to": [DAYS[1]]}), "row 0: to is before from"),
        (pl.DataFrame({"symbol": [None], "from": [DAYS[2]]}, schema_overrides={"symbol": pl.String}), "has no symbol"),
        (pl.DataFrame({"who": ["A"], "from": [DAYS[2]]}), "no column 'symbol'"),
        (pl.DataFrame({"symbol": ["A"], "date": [DAYS[2]], "in": [1]}), "no column 'member'"),
        (pl.DataFrame({"symbol": ["A"], "start": [DAYS[2]]}), "no column 'member'; it has symbol, start"),
        (pl.DataFrame({"symbol": ["A"], "date": [DAYS[2]], "member": [2]}), "row 0: member is not true or false"),
        (pl.DataFrame({"symbol": ["A"], "from": [at(1, 9).replace(tzinfo=None)]}), "has no zone"),
    ],
)  # fmt: skip
def test_members_that_cannot_be_told_are_refused(ask, table, message):
    with pytest.raises(DataError) as caught:
        ask(lambda context: None, universe=table)
    assert message in str(caught.value)


def test_a_symbol_of_a_venue_has_the_facts_of_its_ticker(ask):
    """Unless the table names the venue; and whichever was there first, the row or the column."""
    frame = pl.concat([prices(["A@X", "B@X"]), prices(["C@X"], DAYS[2:])]).sort("timestamp", "symbol")
    table = facts(
        ("A", at(1), at(3, 12), 1.0), ("A@X", at(1), at(4, 12), 1.5), ("B", at(1), at(1), 2.0), ("C", at(1), at(1), 3.0)
    )  # fmt: skip
    told = ask(lambda context: context.asof("f", "eps").tolist(), frame, tables={"f": table})
    assert told[3] == [1.0, 2.0, 3.0]
    assert told[5] == [1.5, 2.0, 3.0]


def test_dates_of_a_table_may_name_sessions_of_another_calendar(ask):
    """A day in Tokyo closes hours before that day ends in UTC."""
    table = {"frame": pl.DataFrame({"date": [date(2024, 1, 4)], "x": [1.0]}), "calendar": "XTKS"}
    told = ask(lambda context: context.window("f")["known_at"].to_list(), tables={"f": table})
    assert told[4] == [datetime(2024, 1, 4, 6, tzinfo=UTC)]
    assert told[3] == []


class Waking(Strategy):
    """Note events and their order."""

    def __init__(self):
        self.told = []

    def on_event(self, event, context):
        source = getattr(event, "source", "")
        if source:
            values = {name: str(value) for name, value in event.values.items()}
            self.told.append((context.now.day, source, event.symbol, values))
        elif event.symbol == "A":
            self.told.append((context.now.day, "bar"))


def test_rows_wake_a_strategy_only_where_the_table_says_so(kit):
    """At the instant at which they are known, before the bars of that instant; never in the warm-up."""
    table = facts(("A", at(1), at(1), 1.0), ("A", at(2), at(3), 2.0), ("Z", at(1), at(4, 12), None))
    table = table.with_columns(day=pl.lit(date(2024, 2, 1)), word=pl.lit("x"))
    macro = pl.DataFrame({"known_at": [at(4, 12)], "rate": [5.0]})
    strategy = Waking()
    tables = {"f": {"frame": table, "wakes": True}, "m": {"frame": macro, "wakes": True}, "quiet": RESTATED}
    kit.run(strategy, kit.Source(prices()), tables=tables, start=DAYS[1])
    more = {"day": "2024-02-01T00:00:00.000000000", "word": "x"}
    assert strategy.told == [
        (3, "f", "A", {"eps": "2.0", **more}),
        (3, "bar"),
        (4, "bar"),
        (4, "f", "Z", {"eps": "nan", **more}),
        (4, "m", "", {"rate": "5.0"}),
        (5, "bar"),
        (6, "bar"),
    ]


def test_the_header_names_tables_and_the_universe(kit):
    table = pl.DataFrame({"symbol": ["A"], "from": [DAYS[1]]})
    engine = kit.engine(Waking(), kit.Source(prices()), tables={"f": RESTATED}, universe=table)
    assert {"table f: 5 rows of eps", "table universe: 1 rows of member, the members of the universe"} < {
        *engine.header
    }


@pytest.mark.parametrize("market_wide", [False, True])
def test_a_table_without_rows_says_nothing(ask, market_wide):
    table = RESTATED[:0].drop("symbol") if market_wide else RESTATED[:0]
    told = ask(lambda context: (context.asof("f", "eps"), context.window("f").height), tables={"f": table})
    assert np.isnan(told[5][0]).all()
    assert told[5][1] == 0


def test_rows_of_long_ago_and_of_later_days_harm_nothing(ask):
    """Figures from before 1970, and some that are known after the last bar."""
    rows = {"known_at": [date(1955, 6, 1), date(2031, 1, 1)], "rate": [1.5, 9.0], "empty": [None, None]}
    told = ask(
        lambda context: (context.asof("f", "rate"), context.asof("f", "empty")), tables={"f": pl.DataFrame(rows)}
    )
    assert told[5][0] == 1.5
    assert np.isnan(told[5][1])
