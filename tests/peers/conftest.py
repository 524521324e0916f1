"""Put the scenarios where the tests can import them; deselect the tests unless they are asked for."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _load(name):
    spec = importlib.util.spec_from_file_location(f"peers_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


sys.modules["peer_orders"] = _load("peer_orders")  # which the next one imports
cases = _load("scenarios")
raw = _load("corporate")
places = _load("environments")
ours = _load("native")


def pytest_collection_modifyitems(config, items):
    """Leave the comparisons out unless the command line names their marker."""
    if "peers" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("peers")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("peers")]


def pytest_generate_tests(metafunc):
    """Give a test that takes a scenario all scenarios of its module's engine."""
    if "scenario" in metafunc.fixturenames:
        found = [one for one in cases.SCENARIOS if one.peer == metafunc.module.PEER]
        metafunc.parametrize("scenario", found, ids=[one.name for one in found])
    if "corporate_scenario" in metafunc.fixturenames:
        metafunc.parametrize("corporate_scenario", raw.SCENARIOS, ids=[one.name for one in raw.SCENARIOS])


@pytest.fixture(scope="session")
def data():
    """The folder with the real files, beside the repository."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", HERE.resolve().parents[2] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    return shared / "data"


@pytest.fixture(scope="session")
def native():
    """The module of our side."""
    return ours


@pytest.fixture(scope="session")
def scenarios():
    """The module of the scenarios."""
    return cases


@pytest.fixture(scope="session")
def corporate():
    """The module of scenarios with corporate actions."""
    return raw


@pytest.fixture(scope="session")
def environments():
    """The module of the other engines' environments."""
    return places


@pytest.fixture(scope="session")
def run_peer():
    """Run a scenario in the engine itself, or skip where its environment cannot be made."""

    def run(peer, scenario, bars, targets=None):
        try:
            return places.run(peer, scenario, bars, targets)
        except places.PeerAbsent as absent:
            pytest.skip(f"no environment for {peer}: {absent}")

    return run


@pytest.fixture
def agrees(data, run_peer):
    """Run a scenario on both sides and compare fill by fill and day by day."""

    def agrees(scenario):
        panel = cases.panel(scenario.bars, data)
        told = scenario.as_json(panel)
        theirs = run_peer(scenario.peer, told, panel.frame)
        result, refs = ours.run(scenario, panel)
        mine = ours.fills(result, refs)
        assert len(theirs.fills) > 20
        if scenario.peer == "backtesting":
            keys = ("time", "symbol", "side", "price")
            found = ours.differing_fills(ours.by_price(theirs.fills), ours.by_price(mine), keys)
        else:
            found = ours.differing_fills(theirs.fills, mine)
        assert found.is_empty(), f"{len(found)} of {len(theirs.fills)} fills differ:\n{found.head(10)}"
        gap = ours.largest_gap(theirs.equity, result)
        assert gap <= max(1e-3, 1e-12 * told["settings"]["cash"])

    return agrees
