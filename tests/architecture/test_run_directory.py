"""The page about the run directory names the files and columns of a real one."""

import json
import re
from datetime import date, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

DAYS = [date(2024, 1, 1) + timedelta(days=day) for day in range(6)]


class Trading(Strategy):
    """Buy, sell a part, and record a figure; or do nothing at all."""

    def __init__(self, orders=(10.0, -4.0)):
        self.orders = list(orders)

    def on_slice(self, market, context):
        if self.orders:
            context.order_target("AAA", self.orders.pop(0))
            context.record(figure=1.0)


def rows(**columns):
    return pl.DataFrame({"symbol": ["AAA"] * len(DAYS), "timestamp": DAYS, **columns})


@pytest.fixture(params=[(10.0, 6.0), ()], ids=["trading", "idle"])
def folder(request, tmp_path):
    """A run directory with two fills and a record, and one without."""
    prices, scores = rows(open=[10.0] * 6, close=[11.0] * 6), rows(score=[0.5] * 6)
    Engine(prices=prices, signals=scores, strategy=Trading(request.param)).run(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def page(repository):
    return (repository / "docs" / "reference" / "run-directory.md").read_text(encoding="utf-8")


def first_cells(page, heading):
    """Return the first two cells of each row of the table under a heading, the first without its backticks."""
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", section, re.MULTILINE)


def shown(dtype):
    """Return a dtype as the page writes it."""
    return str(dtype.base_type()) + (f"({dtype.time_unit}, {dtype.time_zone})" if dtype == pl.Datetime else "")


def test_every_file_is_listed(page, folder):
    """The files of a run are those of the first table, each with a section of its own."""
    listed = [name for name, _ in first_cells(page, "Files")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(listed)
    assert listed == re.findall(r"^## (\w+\.\w+)$", page, re.MULTILINE)


def test_every_column_is_listed_with_its_type(page, folder):
    """In the order of the file; what a strategy records and a source calls its values has no row."""
    own = {"figure", "score"}
    for path in sorted(folder.glob("*.parquet")):
        schema = pl.read_parquet_schema(path)
        columns = [(name, shown(dtype)) for name, dtype in schema.items() if name not in own]
        assert columns == first_cells(page, path.name), path.name


def test_every_figure_is_listed_with_its_type(page, folder):
    """A figure that is not defined is null, and says nothing about its type."""
    figures = json.loads((folder / "metrics.json").read_text())
    listed = dict(first_cells(page, "metrics.json"))
    assert list(figures) == list(listed)
    assert [] == [name for name, value in figures.items() if value is not None and type(value).__name__ != listed[name]]


def test_every_key_of_the_manifest_is_listed(page, folder):
    """Down to the counts; what is below them is the user's."""
    manifest = json.loads((folder / "manifest.json").read_text())
    counts = [f"counts.{name}" for name in manifest["counts"]]
    keys = [key for name in manifest for key in (counts if name == "counts" else [name])]
    assert keys == [name for name, _ in first_cells(page, "manifest.json")]
