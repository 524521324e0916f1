import hashlib
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.core.sessions import NO_BREAK, SESSION_DTYPE
from ml4t.backtest.core.stamps import StampRule, parse_duration
from ml4t.backtest.interfaces import Calendar, DataFeed, SourceSpec

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


# --- rows and sessions of plain Python ----------------------------------------------------------------------------


class PlainSource(DataFeed):
    """Rows of a frame, cut into batches of a size; 0 for one batch."""

    def __init__(self, frame, *, name="prices", kind="bar", bar="1d", batch=0, fields=None, drives=True, **stamps):
        self.frame, self.batch, self.closed, self.opened = frame, batch, 0, []
        column = next(name for name in ("timestamp", "known_at", "event_time") if name in frame.columns)
        dtype = frame.schema[column]
        midnights = dtype == pl.Date or bool((frame[column] == frame[column].dt.truncate("1d")).all())
        rule = StampRule(
            convention="label" if midnights and column == "timestamp" and bar == "1d" else stamps.get("stamp", column),
            period_ns=parse_duration(bar) if kind == "bar" else None,
            latency_ns=parse_duration(stamps.get("latency", "0s")),
            origin=name,
        )
        keys = ("symbol", "timestamp", "known_at", "event_time")
        self._spec = SourceSpec(
            name=name,
            kind=kind,
            fields=fields or tuple(column for column in frame.columns if column not in keys),
            rule=rule,
            drives=drives and kind != "signal",
            valid_for=stamps.get("valid_for"),
        )

    @property
    def spec(self):
        return self._spec

    def open(self, window):
        self.opened.append(window)

    def batches(self):
        yield from self.frame.iter_slices(self.batch or max(1, len(self.frame)))

    def digest(self):
        return hashlib.sha256(self.frame.write_csv().encode()).hexdigest()

    def close(self):
        self.closed += 1


class HandCalendar(Calendar):
    """Sessions written by hand, as (label, open, close) of ISO texts."""

    name, timezone = "HAND", "America/New_York"

    def __init__(self, *rows):
        def ns(text):
            return int(datetime.fromisoformat(text).timestamp()) * 1_000_000_000

        self.rows = np.array(
            [((date.fromisoformat(d) - date(1970, 1, 1)).days, ns(o), ns(c), NO_BREAK, NO_BREAK) for d, o, c in rows],
            SESSION_DTYPE,
        )

    def sessions(self, start, end):
        return self.rows


class Kit:
    """What tests of the clock are made of."""

    Source, Calendar = PlainSource, HandCalendar

    @staticmethod
    def bars(days=20, symbols=("A", "B", "C"), seed=1, first=date(2024, 1, 1)):
        """Daily bars of a random walk, long, in order of day and symbol."""
        rng = np.random.default_rng(seed)
        rows = [(first + timedelta(days=day), symbol) for day in range(days) for symbol in symbols]
        close = np.exp(rng.normal(0, 0.02, len(rows)).cumsum()) * 100
        return pl.DataFrame({"timestamp": [row[0] for row in rows], "symbol": [row[1] for row in rows]}).with_columns(
            open=pl.Series(close * 0.99),
            high=pl.Series(close * 1.02),
            low=pl.Series(close * 0.98),
            close=pl.Series(close),
            volume=pl.lit(1000.0),
        )

    @staticmethod
    def minutes(bars=50, symbols=("A",), seed=1, first=datetime(2024, 1, 2, 14, 30, tzinfo=UTC)):
        """Minute bars, stamped at their open."""
        frame = Kit.bars(bars, symbols, seed)
        stamps = [first + timedelta(minutes=place // len(symbols)) for place in range(len(frame))]
        return frame.with_columns(timestamp=pl.Series(stamps))


@pytest.fixture(scope="session")
def kit():
    """Sources and calendars of plain Python."""
    return Kit
