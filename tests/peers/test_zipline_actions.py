"""Raw prices with splits, dividends and a delisting in zipline-reloaded 3.2.1: the same fills, cash and equity.

Levels and quantities are such that no split leaves a fraction; `test_observed.py` shows what zipline makes of those.
zipline's equity is without dividends that are due and not paid, so ours is compared less ``receivable``.
"""

import pytest

pytestmark = pytest.mark.peers

ROUNDING = 1e-4  # of cash of 1e8: half a cent in fifty million


def test_fills_cash_and_equity_are_those_of_zipline(corporate_scenario, corporate, data, native, run_peer):
    """Fill by fill, and cash and equity on every day."""
    panel = corporate.read_panel(corporate_scenario.window, data)
    rows = corporate.corporate_rows(corporate_scenario.window, panel, data)
    told = corporate_scenario.as_json(panel, rows)
    theirs = run_peer("zipline", told, panel.frame)
    result, refs = native.run_with(told, panel.frame, corporate.as_frame(rows))

    assert theirs.fills.height >= len(panel.symbols)
    found = native.differing_fills(theirs.fills, native.fills(result, refs))
    assert found.is_empty(), f"{len(found)} of {len(theirs.fills)} fills differ:\n{found.head(10)}"
    assert {row["kind"] for row in rows} >= {"split", "dividend"}
    assert all(gap <= ROUNDING for gap in native.daily_gaps(theirs.equity, result).values())
