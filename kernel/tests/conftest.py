import sys
from pathlib import Path

import pytest

from ml4t_backtest_testkit.plain_sources import HandCalendar, PlainSource, daily_bars, minute_bars

PLUGIN = """\
from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="{name}", summary="a plugin for tests")


@hookimpl
def ml4t_register_reporters():
    return {{"{component}": "{module}_classes:Reporter"}}
"""


class Site:
    """A folder on the import path into which distributions are installed by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name, *, component="html", source=PLUGIN, distribution=None, version="1.0", module=None):
        """Install a distribution with one plugin, whose source may use {name}, {component}, {module}."""
        distribution = distribution or f"acme-{name}"
        module = module or distribution.replace("-", "_")
        text = source.format(name=name, component=component, module=module)
        (self.folder / f"{module}.py").write_text(text, encoding="utf-8")
        (self.folder / f"{module}_classes.py").write_text("class Reporter:\n    pass\n", encoding="utf-8")
        metadata = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir(exist_ok=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(f"[ml4t.backtest]\n{name} = {module}\n")
        return module

    def uninstall(self, distribution):
        """Remove a distribution's metadata, which is all that discovery looks at."""
        for metadata in self.folder.glob(f"{distribution.replace('-', '_')}-*.dist-info"):
            for file in metadata.iterdir():
                file.unlink()
            metadata.rmdir()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty place for installed plugins, and a user cache of its own."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("ML4T_BACKTEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ML4T_BACKTEST_PLUGINS", raising=False)
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


class Kit:
    """What tests of the clock are made of."""

    Source, Calendar = PlainSource, HandCalendar
    bars, minutes = staticmethod(daily_bars), staticmethod(minute_bars)


@pytest.fixture(scope="session")
def kit():
    """Sources and calendars of plain Python."""
    return Kit
