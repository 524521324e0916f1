"""What is measured is computed right: the engine and a bare loop agree on fills and equity."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def small(workloads):
    """60 symbols over 250 sessions, made like the whole market."""
    return workloads.daily(np.random.default_rng(42), workloads.sessions(250), 60)


@pytest.fixture(scope="module")
def whole(workloads):
    """250 symbols over 5,040 sessions."""
    return workloads.daily(np.random.default_rng(42), workloads.sessions(5040), 250)


def run_of(workloads, frame, strategy):
    """Return fills, final equity and decision hash of a run over the bars of a frame."""
    result = workloads.daily_engine(frame.select("timestamp", "symbol", *workloads.FIELDS), strategy).run()
    assert "done" == result.status
    return result.fills.height, result.final_equity, result.decision_hash


def bare_run(workloads, frame, name):
    """Return fills and final equity of the bare loop."""
    loop = {"w1s": workloads.bare_shares, "w1w": workloads.bare_weights}[name]
    prices = (workloads.wide(frame, "open"), workloads.wide(frame, "close"))
    return loop(*prices, workloads.targets(frame, name), workloads.CAPITAL)


def test_share_targets_fill_as_in_the_bare_loop(workloads, small):
    """Shares asked for at a close are held from the next open; fills and equity agree to the cent."""
    fills, equity, _ = run_of(workloads, small, workloads.BySlice(workloads.targets(small, "w1s")))
    expected_fills, expected_equity = bare_run(workloads, small, "w1s")
    assert (5_090, 9_980_054.0) == (expected_fills, round(expected_equity, 2))
    assert expected_fills == fills
    assert expected_equity == pytest.approx(equity, abs=0.005)


def test_weight_targets_fill_as_in_the_bare_loop(workloads, small):
    """The order, not the target, is cut to whole shares, sized by equity and price of the decision's close."""
    strategy = workloads.BySlice(workloads.targets(small, "w1w"), weights=True)
    fills, equity, _ = run_of(workloads, small, strategy)
    expected_fills, expected_equity = bare_run(workloads, small, "w1w")
    assert (3_615, 10_026_534.32) == (expected_fills, round(expected_equity, 2))
    assert expected_fills == fills
    assert expected_equity == pytest.approx(equity, abs=0.005)


def test_events_and_slices_lead_to_the_same_decisions(workloads, small):
    """What is asked for at the last event of an instant is what is asked for at its slice."""
    wanted = workloads.targets(small, "w1s")
    by_slice = run_of(workloads, small, workloads.BySlice(wanted))
    assert by_slice == run_of(workloads, small, workloads.ByEvent(wanted))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("w1s", (428_132, 10_088_712.0)), ("w1w", (298_875, 8_755_769.81))])
def test_whole_workloads_give_what_other_engines_give(workloads, whole, name, expected):
    """Five engines agree on w1s; w1w is that of one which truncates orders sized at the decision's close."""
    strategy = workloads.BySlice(workloads.targets(whole, name), weights=name == "w1w")
    fills, equity, _ = run_of(workloads, whole, strategy)
    assert expected == (fills, round(equity, 2))
