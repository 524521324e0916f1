"""Rules of what a person reads before, during and after a run."""

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.interfaces import Progress, Setup
from ml4t.backtest.state import EQUITY, ORDER, ORDER_EVENT, REASONS, REFUSED, RunState
from ml4t_backtest_engine_standard.result.journal import Journal
from ml4t_backtest_engine_standard.result.result import Result
from ml4t_backtest_reporter_console.progress import bar, duration, line
from ml4t_backtest_reporter_console.reporter import ConsoleReporter
from ml4t_backtest_reporter_console.summary import drawdown_dates, summary

DAY = 86_400_000_000_000


class Accounting:
    def __init__(self, **metrics):
        self._metrics = metrics

    def metrics(self):
        return self._metrics

    def equity(self):
        return 1080.0


def a_result(metrics=None, **settings) -> Result:
    state = RunState()
    state.add_symbols(["AAA"])
    equity = np.zeros(4, EQUITY)
    equity["session"], equity["equity"] = [1, 2, 3, 4], [1000.0, 1200.0, 900.0, 1080.0]
    state.equity.restore(equity)
    state.orders.restore(np.zeros(1, ORDER))
    refused = np.zeros(1, ORDER_EVENT)
    refused["status"], refused["reason"] = REFUSED, REASONS.index("no-mark")
    state.order_events.restore(refused)
    return Result(state=state, journal=Journal(state), portfolio=Accounting(**(metrics or {})), **settings)


def reporter(**settings) -> ConsoleReporter:
    return ConsoleReporter(ConsoleReporter.Config(**settings), Setup(name="console"))


def at(now: int, *, last: int = 100 * DAY, rows: int = 5000, elapsed: float = 2.0) -> Progress:
    return Progress(rows=rows, now=now, first=0, last=last, elapsed=elapsed)


def test_summary_shows_figures_costs_flags_hashes_and_speed():
    """Everything a person asks first is in the summary."""
    metrics = {"total_return": 0.08, "annual_return": 0.0412, "annual_volatility": 0.2, "sharpe": 0.205}
    metrics |= {"max_drawdown": -0.25, "turnover": 3.5, "n_trades": 2.0, "commission": 12.5, "slippage": 1.0}
    counts = {"rows": 1_000, "late rows of bars": 2}
    result = a_result(metrics, flags=("fills at the same close",), counts=counts, elapsed=0.5, currency="EUR")
    assert [
        "final equity      1,080.00 EUR",
        "return            8.00%",
        "annual return     4.12%",
        "annual volatility 20.00%",
        "Sharpe ratio      0.20",
        "max drawdown      -25.00% (1970-01-03 to 1970-01-04)",
        "turnover          3.50 times the mean equity a year, both sides",
        "costs             commission 12.50, slippage 1.00 EUR",
        "activity          1 orders, 0 fills, 2 closed round trips",
        "refused orders    1 no-mark",
        "counted           2 late rows of bars",
        "elapsed           0.5 s for 1,000 rows, 2,000 rows/s",
        "flag              fills at the same close",
        f"decision hash     {result.decision_hash}",
        f"result hash       {result.result_hash}",
    ] == summary(result)


def test_summary_says_loudly_that_nothing_was_paid():
    """A run without costs is not to be mistaken for one with."""
    assert "costs             NONE: no costs were charged" in summary(a_result())


def test_figure_that_is_not_defined_says_so():
    """NaN is never shown as a number."""
    assert "Sharpe ratio      not defined" in summary(a_result({"sharpe": float("nan")}))


def test_summary_of_a_failed_run_begins_with_that():
    """The figures of a failed run are not passed off as those of a whole one; its error was raised as well."""
    lines = summary(a_result(status="failed", error="ValueError: no\nraised in on_slice"))
    assert ["the run failed; the figures are those up to there", "final equity      1,080.00 USD"] == lines[:2]


def test_summary_of_an_interrupted_run_begins_with_why():
    """Nothing is raised when a run is stopped."""
    lines = summary(a_result(status="interrupted", error="stopped by the user"))
    assert ["the run was interrupted; the figures are those up to there", "  stopped by the user"] == lines[:2]


def test_summary_names_the_run_folder(tmp_path):
    """Where the files are is the last line."""
    assert f"run folder        {tmp_path}" == summary(a_result(), tmp_path)[-1]


def test_signal_rows_are_counted_by_fate():
    """Late and unused rows are shown, by source where there are several."""
    result = a_result()
    result.state.instruments["mark"] = 1.0
    one, stamps, known_at = np.array([0, 0], np.int32), np.array([DAY, DAY]), np.array([DAY, 2 * DAY])
    result.journal.signal_rows("model", ("score",), one, known_at, stamps, np.zeros((1, 2)), horizon=1)
    assert "signal rows       1 late, 1 unused" in summary(result)
    result = a_result()
    for name in ("model", "\x1bother"):
        result.journal.signal_rows(name, ("score",), one, known_at, stamps, np.zeros((1, 2)), horizon=1)
    assert "signal rows       model: 1 late, 1 unknown-symbol; ?other: 1 late, 1 unknown-symbol" in summary(result)


def test_names_from_outside_cannot_command_the_terminal():
    """Control characters are replaced."""
    assert "flag              ?[2Jgone" in summary(a_result(flags=("\x1b[2Jgone",)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([5.0, 6.0, 7.0], None),
        ([5.0, 4.0, 6.0, 3.0, 7.0], ("1970-01-03", "1970-01-04")),
        ([-1.0, -2.0], None),
    ],
)
def test_drawdown_dates_are_peak_and_low_of_the_deepest_fall(values, expected):
    """The fall is measured from the highest value before it."""
    sessions = pl.Series(range(len(values)), dtype=pl.Int32).cast(pl.Date)
    assert expected == drawdown_dates(pl.DataFrame({"session": sessions, "equity": values}))


def test_progress_shows_share_date_speed_and_time_left():
    """Time left is judged by simulated time."""
    assert " 25%  5,000 rows  1970-01-26  2,500 rows/s  6.0 s left" == line(at(25 * DAY))


def test_progress_without_a_known_end_gives_no_share():
    """A run without an end date does not pretend to know how far it is."""
    assert "5,000 rows  1970-01-26  2,500 rows/s" == line(at(25 * DAY, last=2**63 - 1))


def test_bar_fits_the_terminal():
    """The line is never wider than the terminal."""
    assert "[###..........]  25%" == bar(at(25 * DAY), 71)[:20]
    assert 71 > len(bar(at(25 * DAY), 71))
    assert 39 == len(bar(at(25 * DAY), 40))


@pytest.mark.parametrize(("seconds", "text"), [(0.8, "0.8 s"), (12.34, "12.3 s"), (187, "3:07"), (3723, "1:02:03")])
def test_durations_read_well(seconds, text):
    """Seconds, then minutes, then hours."""
    assert text == duration(seconds)


def test_plain_progress_is_written_once_in_five_seconds(capsys):
    """Where standard error is no terminal a line appears now and then."""
    console = reporter()
    for elapsed in (1.0, 4.9, 5.0, 7.0, 10.1):
        console.progress(at(DAY, elapsed=elapsed))
    assert 2 == len(capsys.readouterr().err.splitlines())


def test_bar_is_drawn_in_place_and_erased_at_the_end(capsys):
    """Nothing of the bar stays."""
    console = reporter(progress="bar", summary=False)
    console.progress(at(DAY))
    console.finished(a_result(), None)
    err = capsys.readouterr().err
    assert err.startswith("\r\x1b[K[")
    assert err.endswith("\r\x1b[K")
    assert "\n" not in err


def test_header_and_summary_go_to_standard_output(capsys):
    """Progress never mixes with what may be piped on."""
    console = reporter()
    console.started(("run x", "costs: none"), None)
    console.finished(a_result(), None)
    out, err = capsys.readouterr()
    assert ["run x", "costs: none", "", "final equity      1,080.00 USD"] == out.splitlines()[:4]
    assert "" == err


def test_silent_reporter_writes_nothing(capsys):
    """Each part can be turned off."""
    console = reporter(progress="none", header=False, summary=False)
    console.started(("run x",), None)
    console.progress(at(DAY, elapsed=99.0))
    console.finished(a_result(), None)
    assert ("", "") == tuple(capsys.readouterr())
