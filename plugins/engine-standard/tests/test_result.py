"""Rules of the journal, the frames, the fingerprints and the result, on a small run written by hand."""

import datetime as dt
import json
import pickle
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.errors import DataError
from ml4t.backtest.state import (
    ACCEPTED,
    ACCOUNT,
    CANCELLED,
    EQUITY,
    FILL,
    FILLED,
    LEDGER,
    ORDER,
    ORDER_EVENT,
    REASONS,
    REFUSED,
    SUBMITTED,
    RunState,
)
from ml4t_backtest_engine_standard.result.hashes import decision_hash, result_hash
from ml4t_backtest_engine_standard.result.journal import Journal
from ml4t_backtest_engine_standard.result.result import Result

DAY = 86_400_000_000_000
NAN = float("nan")


def rows(dtype, *records):
    table = np.zeros(len(records), dtype)
    for row, record in zip(table, records, strict=True):
        for name, value in record.items():
            row[name] = value
    return table


def small_run() -> RunState:
    """AAA is bought and filled, BBB refused for want of a mark, AAA's second order replaced."""
    state = RunState()
    state.add_symbols(["AAA", "BBB"])
    plain = {"limit_price": NAN, "stop_price": NAN, "next": -1}
    state.orders.restore(
        rows(
            ORDER,
            {
                **plain,
                "id": 0,
                "symbol": 0,
                "status": FILLED,
                "quantity": 10,
                "filled": 10,
                "submitted_at": DAY,
            },
            {
                **plain,
                "id": 1,
                "symbol": 1,
                "status": REFUSED,
                "quantity": -5,
                "submitted_at": DAY,
                "reason": 8,
            },
            {**plain, "id": 2, "symbol": 0, "status": CANCELLED, "quantity": 3, "submitted_at": 3 * DAY},
        )
    )
    replaced, end = REASONS.index("replaced-by-target"), REASONS.index("next-open")
    state.order_events.restore(
        rows(
            ORDER_EVENT,
            {"timestamp": DAY, "order_id": 0, "sequence": 0, "status": SUBMITTED, "quantity": 10},
            {"timestamp": DAY, "order_id": 0, "sequence": 1, "status": ACCEPTED, "quantity": 10},
            {"timestamp": DAY, "order_id": 1, "sequence": 2, "status": SUBMITTED, "quantity": -5},
            {"timestamp": DAY, "order_id": 1, "sequence": 3, "status": REFUSED, "reason": 8, "quantity": -5},
            {
                "timestamp": 2 * DAY,
                "order_id": 0,
                "sequence": 4,
                "status": FILLED,
                "reason": end,
                "quantity": 10,
            }
            | {"filled": 10},
            {"timestamp": 3 * DAY, "order_id": 2, "sequence": 5, "status": ACCEPTED, "quantity": 3},
            {"timestamp": 4 * DAY, "order_id": 2, "sequence": 6, "status": CANCELLED, "reason": replaced}
            | {"quantity": 3},
        )
    )
    fill = {"order_id": 0, "symbol": 0, "quantity": 10, "price": 100.5, "reference_price": 100, "reason": end}
    times = {"formed_at": 2 * DAY, "known_at": 2 * DAY + 5, "submitted_at": DAY}
    state.fills.restore(rows(FILL, {**fill, **times, "commission": 1.0, "slippage": 5.0, "sequence": 4}))
    state.ledger.restore(
        rows(
            LEDGER,
            {"timestamp": 0, "order_id": -1, "symbol": -1, "kind": 0, "amount": 2000, "balance": 2000},
            {"timestamp": 2 * DAY, "order_id": 0, "symbol": 0, "kind": 1, "amount": -1005, "balance": 995},
            {"timestamp": 2 * DAY, "order_id": 0, "symbol": 0, "kind": 2, "amount": -1, "balance": 994},
        )
    )
    state.equity.restore(
        rows(
            EQUITY,
            {"timestamp": DAY, "session": 1, "cash": 2000, "equity": 2000},
            {"timestamp": 2 * DAY, "session": 2, "cash": 994, "equity": 2004, "commission": 1},
        )
    )
    state.positions["quantity"][0], state.positions["average_price"][0] = 10, 100.5
    state.instruments["mark"][0] = 101.0
    return state


class Accounting:
    def trades(self):
        return pl.DataFrame({"symbol": ["AAA"], "is_open": [True]})

    def metrics(self):
        return {"total_return": 0.002, "sharpe": NAN}

    def equity(self):
        return 2004.0


def result_of(state: RunState, **settings) -> Result:
    return Result(state=state, journal=Journal(state), portfolio=Accounting(), name="small", **settings)


def utc(day: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1 + day, tzinfo=dt.UTC)


def test_fills_have_the_columns_of_the_run_directory():
    """A fill's timestamp is when its price formed."""
    fills = result_of(small_run(), currency="EUR").fills
    documented = "timestamp known_at submitted_at order_id symbol quantity price commission slippage currency"
    assert {*documented.split(), "account", "reason"} <= {*fills.columns}
    assert pl.Datetime("ns", "UTC") == fills["timestamp"].dtype
    assert (utc(2), "AAA", 10.0, 100.5, "EUR", "next-open") == fills.select(
        "timestamp", "symbol", "quantity", "price", "currency", "reason"
    ).row(0)


def test_orders_hold_every_transition_with_words_and_nulls():
    """Orders.parquet: each transition, refusals with their reason, null where there is no limit."""
    orders = result_of(small_run()).orders
    assert ["submitted", "accepted", "submitted", "refused", "filled", "accepted", "cancelled"] == orders[
        "status"
    ].to_list()
    assert "no-mark" == orders.filter(pl.col("symbol") == "BBB")["reason"][-1]
    assert 7 == orders["limit_price"].null_count()
    assert {"market"} == {*orders["kind"]}
    assert {""} == {*orders["tag"]}


def test_ledger_names_kinds_and_leaves_a_deposit_without_symbol():
    """Every cash movement has a kind; a deposit belongs to no order and no symbol."""
    ledger = result_of(small_run()).ledger
    assert ["deposit", "fill", "commission"] == ledger["kind"].to_list()
    assert [None, "AAA", "AAA"] == ledger["symbol"].to_list()
    assert [None, 0, 0] == ledger["order_id"].to_list()
    assert [True, False, False] == ledger["timestamp"].is_null().to_list()


def test_equity_is_dated_by_session():
    """Equity rows carry the session's label as a date."""
    assert [dt.date(1970, 1, 2), dt.date(1970, 1, 3)] == result_of(small_run()).equity["session"].to_list()


def test_frames_of_a_run_without_rows_are_empty_and_typed():
    """A run in which nothing happened has every frame."""
    result = result_of(RunState())
    for name in ("fills", "orders", "ledger", "equity", "positions", "targets", "signals", "records"):
        frame = getattr(result, name)
        assert 0 == frame.height, name
        assert "timestamp" in frame.columns or name == "signals"
    assert {} == result.refusals


def test_frames_are_made_once():
    """A frame is kept once it has been asked for."""
    result = result_of(small_run())
    assert result.fills is result.fills


def test_targets_show_what_was_asked_and_what_was_ordered():
    """A symbol that a decision leaves alone has no row."""
    state = small_run()
    journal = Journal(state)
    asked, ids = np.array([0.5, NAN]), np.array([0, -1])
    journal.target(DAY, "order_target_weights", asked, ids)
    asked[0] = 99.0
    journal.target(3 * DAY, "order_quantities", np.array([3.0, -1.0]), np.array([2, -1]))
    assert [
        (utc(1), "AAA", "order_target_weights", 0.5, 0, 10.0, ""),
        (utc(3), "AAA", "order_quantities", 3.0, 2, 3.0, ""),
        (utc(3), "BBB", "order_quantities", -1.0, None, None, ""),
    ] == journal.targets().rows()


def test_positions_are_valued_at_the_mark_of_the_session():
    """A later change of mark or position does not touch an earlier sample."""
    state = small_run()
    journal = Journal(state)
    journal.sample_positions(2 * DAY, 2)
    state.instruments["mark"][0] = 50.0
    assert [(utc(2), dt.date(1970, 1, 3), "AAA", 10.0, 101.0, 1010.0, 100.5, 5.0, 0)] == journal.positions().rows()


def test_records_are_wide_and_null_where_nothing_was_recorded():
    """A name recorded late is null before."""
    journal = Journal(RunState())
    journal.record(DAY, {"a": 1.0})
    journal.record(2 * DAY, {"b": 2.0})
    assert [(utc(1), 1.0, None), (utc(2), None, 2.0)] == journal.records().rows()


def priced_run() -> RunState:
    """The small run, with a price of its second symbol too."""
    state = small_run()
    state.instruments["mark"][1] = 5.0
    return state


def signals_of(state, *releases, **settings) -> list[tuple]:
    journal = Journal(state)
    for day, symbols in releases:
        n = len(symbols)
        stamps = np.full(n, day * DAY)
        values = np.arange(n, dtype=np.float64).reshape(1, n)
        ids = np.array(symbols, np.int32)
        journal.signal_rows("model", ("score",), ids, stamps, stamps - 1, values, **settings)
    return journal.signals().select("symbol", "fate", "used_at").rows()


def test_a_signal_is_traded_refused_or_unused_by_the_orders_made_while_it_was_valid():
    """A row is valid from its own release to the next release of its source."""
    assert [
        ("AAA", "traded", utc(1)),
        ("BBB", "refused", None),
        ("AAA", "unused", None),
        ("BBB", "unused", None),
    ] == signals_of(priced_run(), (1, [0, 1]), (2, [0, 1]), (3, [0]))[:4]


def test_a_signal_missing_from_the_newest_release_is_stale_when_its_symbol_is_traded():
    """AAA is ordered on day 3, when its value of day 1 had been superseded on day 2 without one for it."""
    state = priced_run()
    state.orders.data["status"][0] = REFUSED
    state.orders.data["submitted_at"][0] = 3 * DAY
    state.orders.data["submitted_at"][2] = 3 * DAY
    assert [("AAA", "stale", None), ("BBB", "refused", None), ("BBB", "unused", None)] == signals_of(
        state, (1, [0, 1]), (2, [1])
    )


def test_a_signal_is_valid_for_as_long_as_its_source_says():
    """``valid_for`` replaces the next release; at that very age a value still holds, as for ``context.signal``."""
    assert "traded" == signals_of(small_run(), (0, [0]), (1, [1]), valid_for=DAY)[0][1]
    assert "stale" == signals_of(small_run(), (0, [0]), (1, [1]), valid_for=DAY - 1)[0][1]


def test_a_late_signal_says_so_unless_it_was_traded():
    """A row that became known after its horizon, or else after ``valid_for``, is late."""
    for settings in ({"horizon": 0}, {"horizon": 0, "valid_for": DAY}):
        fates = [fate for _, fate, _ in signals_of(small_run(), (2, [0, 1]), **settings)]
        assert ["traded", "late"] == fates
    assert ["late", "late"] == [fate for _, fate, _ in signals_of(small_run(), (2, [0, 1]), valid_for=0)]
    assert ["unused"] == [fate for _, fate, _ in signals_of(priced_run(), (2, [1]), horizon=1, valid_for=0)]


def test_a_row_about_the_past_that_comes_after_a_newer_one_is_late_and_leaves_that_valid():
    """With ``valid_for`` the newest event_time counts; what comes later about earlier days never did."""
    journal = Journal(priced_run())
    ids, known_at = np.zeros(3, np.int32), np.array([0, 1, 1]) * DAY - 1
    journal.signal_rows("x", ("score",), ids, known_at, np.array([-5, -9, -5]), np.zeros((1, 3)), valid_for=3 * DAY)
    assert ["unused", "late", "traded"] == journal.signals()["fate"].to_list()


def test_a_signal_of_a_symbol_that_was_never_priced_is_counted_apart():
    """Nothing could be traded on it."""
    assert ["unknown-symbol"] == [fate for _, fate, _ in signals_of(small_run(), (2, [1]))]


def test_values_of_signals_keep_their_names_beside_those_of_other_sources():
    """Each source has its own columns; a value called like one of ours gets another name."""
    state = small_run()
    journal = Journal(state)
    one, stamps = np.array([0], np.int32), np.array([DAY])
    journal.signal_rows("x", ("score",), one, stamps, stamps, np.array([[NAN]]))
    journal.signal_rows("y", ("fate",), one, stamps, stamps, np.array([[2.0]]))
    signals = journal.signals()
    assert ["x", "y"] == signals["source"].to_list()
    assert [None, None] == signals["score"].to_list()
    assert [None, 2.0] == signals["fate_value"].to_list()


def test_hashes_are_pinned():
    """The byte layout is a promise: these change only with the number in a block's title."""
    state = small_run()
    assert "58cf2dafee29a6398a71eea276b59814503219159bf28223121fc03ecb9a108d" == decision_hash(state)
    assert "ac3f59afaee1f2a325285e6d0a935b65bf97b26579958e5226d46ba2630794ca" == result_hash(state)
    assert "fa25284f0d0f49008676384d8b9582d13b4bbebfbe2c1d5d5a88ed1acd3f41d4" == decision_hash(RunState())
    assert "19caa1061d1a42aff4740782e8f3b2cc88ee8340efc7f9470c942f19b74f9f56" == result_hash(RunState())


def test_minus_zero_and_odd_nans_do_not_change_a_hash():
    """-0.0 counts as 0.0 and every NaN as one."""
    state, other = small_run(), small_run()
    state.orders.data["limit_price"][0], other.orders.data["limit_price"][0] = 0.0, -0.0
    other.orders.data["stop_price"][0] = np.array([0xFFF8000000000001], np.uint64).view(np.float64)[0]
    state.fills.data["slippage"][0], other.fills.data["slippage"][0] = 0.0, -0.0
    assert result_hash(state) == result_hash(other)


def test_ids_of_symbols_do_not_change_a_hash():
    """A symbol counts by its name, whatever its column."""
    state, other = small_run(), small_run()
    other.symbols.names.reverse()
    for table in (other.orders, other.fills):
        table.data["symbol"][: table.count] = 1 - table.data["symbol"][: table.count]
    other.ledger.data["symbol"][1:3] = 1
    assert result_hash(state) == result_hash(other)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("order_events", "timestamp", 7),
        ("order_events", "quantity", 11.0),
        ("orders", "limit_price", 3.0),
        ("orders", "kind", 1),
        ("orders", "time_in_force", 1),
        ("orders", "symbol", 1),
    ],
)
def test_whatever_was_decided_changes_the_decision_hash(table, column, value):
    """Each column of a request counts."""
    state, other = small_run(), small_run()
    getattr(other, table).data[column][1 if table == "order_events" else 0] = value
    assert decision_hash(state) != decision_hash(other)


def test_what_the_market_did_changes_the_result_hash_only():
    """A fill's price, or the end of the run, is no decision."""
    state, other = small_run(), small_run()
    other.fills.data["price"][0] = 101.0
    other.orders.data["reason"][0] = REASONS.index("end-of-run")
    assert decision_hash(state) == decision_hash(other)
    assert result_hash(state) != result_hash(other)


def test_result_counts_refusals_by_reason():
    """Refused orders are shown with why."""
    assert {"no-mark": 1} == result_of(small_run()).refusals


def test_manifest_is_json_and_hides_secrets():
    """Anything whose key sounds like a secret is starred out; paths and dates become text."""
    origin = {"run": {"api_key": "abc", "start": dt.date(2020, 1, 2)}, "seed": 42}
    manifest = json.loads(json.dumps(result_of(small_run(), origin=origin, flags=("flag",)).manifest))
    assert {"api_key": "***", "start": "2020-01-02"} == manifest["run"]
    assert (1, "small", "done", 42, ["flag"]) == tuple(
        manifest[name] for name in ("schema", "name", "status", "seed", "flags")
    )
    assert decision_hash(small_run()) == manifest["decision_hash"]
    assert {"system", "c_library", "cpu", "python", "numpy", "polars"} <= {*manifest["platform"]}


def test_result_shows_itself_in_one_line_and_escapes_its_page():
    """Names from users never become markup."""
    result = result_of(small_run(), flags=("<script>",))
    assert "<Result 'small' done: 1 fills, final equity 2,004.00 USD>" == repr(result)
    assert "&lt;script&gt;" in result._repr_html_()
    assert "<script>" not in result._repr_html_()


def test_golden_output_that_agrees_is_true(tmp_path):
    """The golden lines are fills, then equity."""
    golden = tmp_path / "small.txt"
    golden.write_text("fill 1970-01-03T00:00:00 AAA 10 100.5 1\nequity 1970-01-02 2000\nequity 1970-01-03 2004\n")
    assert result_of(small_run(), golden=golden).matches_golden_output()


def test_golden_output_that_differs_shows_the_lines(tmp_path):
    """The difference can be read."""
    golden = tmp_path / "small.txt"
    golden.write_text("fill 1970-01-03T00:00:00 AAA 10 100 1\n")
    with pytest.raises(AssertionError, match=r"(?s)-fill .* AAA 10 100 1\n\+fill .* AAA 10 100\.5 1"):
        result_of(small_run()).matches_golden_output(golden)


def test_golden_output_needs_a_file():
    """Without a scenario a path has to be given."""
    with pytest.raises(DataError, match="no scenario was run"):
        result_of(small_run()).matches_golden_output()


def test_columns_and_journal_pickle():
    """What a result is made of travels between processes."""
    state = small_run()
    copy = pickle.loads(pickle.dumps(SimpleNamespace(state=state, journal=Journal(state))))
    assert decision_hash(state) == decision_hash(copy.state)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("ledger", "account", 1),
        ("ledger", "currency", 1),
        ("ledger", "quantity", 2.0),
        ("ledger", "settled", 5.0),
        *(("equity", name, 3.0) for name in ("receivable", "dividends", "interest", "borrow", "funding", "fx_pnl")),
    ],
)
def test_what_accounts_and_actions_did_changes_the_result_hash(table, column, value):
    """Each of these columns counts as soon as a run has something in it."""
    state, other = small_run(), small_run()
    state.currencies = other.currencies = ["USD", "EUR"]
    getattr(other, table).data[column][1] = value
    assert decision_hash(state) == decision_hash(other)
    assert result_hash(state) != result_hash(other)


def test_settled_cash_and_margins_of_a_plain_run_leave_the_hash():
    """So that it is what it was before there were accounts."""
    state, other = small_run(), small_run()
    other.ledger.data["settled"] = other.ledger.data["amount"]
    other.ledger.data["price"] = 7.0
    other.equity.data["initial_margin"] = other.equity.data["stale_exposure"] = 5.0
    assert result_hash(state) == result_hash(other)


def test_amounts_have_the_currency_of_their_row():
    """The base currency is called by its name, whatever the columns say."""
    state = small_run()
    state.currencies = ["", "EUR"]
    state.ledger.data["currency"][1:3] = 1
    state.instruments["currency"][0] = 1
    state.ledger.data["quantity"][2], state.ledger.data["price"][:3] = 3.0, [9.0, 100.5, 8.0]
    result = Result(state=state, journal=Journal(state), portfolio=Accounting(), currency="USD")

    assert ["USD", "EUR", "EUR"] == result.ledger["currency"].to_list()
    assert [None, 100.5, 8.0] == result.ledger["price"].to_list()
    assert ["EUR"] == result.fills["currency"].to_list()


def test_positions_are_valued_in_base_currency():
    """At the rate of that close; prices stay as they are."""
    state = small_run()
    state.currencies, state.accounts = ["USD", "EUR"], np.zeros(2, ACCOUNT)
    state.instruments["currency"][0], state.accounts["rate"] = 1, [1.0, 2.0]
    journal = Journal(state)
    journal.sample_positions(DAY, 1)
    state.accounts["rate"] = [1.0, 3.0]
    journal.sample_positions(2 * DAY, 2)

    columns = ("mark", "value", "average_price", "unrealised")
    assert [(101.0, 2020.0, 100.5, 10.0), (101.0, 3030.0, 100.5, 15.0)] == journal.positions().select(columns).rows()
