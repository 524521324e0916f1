"""Versions of distributions that a run file asks for."""

import pytest

from ml4t.backtest.errors import PluginError
from ml4t_backtest_engine_standard.assembly.requirements import check_requirements


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution acme-extra, version 1.2."""
    metadata = tmp_path / "acme_extra-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-extra\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    "requirement",
    [
        "acme-extra",
        "acme-extra>=1.2",
        "acme-extra>=1,<2",
        "acme-extra==1.2.0",
        "acme-extra != 1.3",
        "acme-extra>1.2rc1",
    ],
)
def test_a_requirement_that_is_met_passes(installed, requirement):
    """Versions compare as numbers, trailing zeros do not count, a pre-release comes before."""
    check_requirements([requirement])


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        (
            "acme-extra>=1.10",
            "acme-extra>=1.10 is required, acme-extra 1.2 is installed: pip install 'acme-extra>=1.10'",
        ),
        ("acme-extra<1.2", "is required, acme-extra 1.2 is installed"),
        ("acme-none>=1", "acme-none>=1 is required and not installed: pip install 'acme-none>=1'"),
        ("acme-extra=>1", "'acme-extra=>1' is no requirement"),
        ("acme-extra>=one", "'acme-extra>=one' is no requirement"),
        ("", "is no requirement"),
    ],
)
def test_a_requirement_that_is_not_met_says_what_to_install(installed, requirement, message):
    """An invalid requirement is refused, not ignored."""
    with pytest.raises(PluginError, match=message):
        check_requirements([requirement])
