"""Rules of tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ml4t.backtest.errors import InputError
from ml4t.backtest.interfaces import TableSource
from ml4t_backtest_testkit.conformance.rules import Conformance

__all__ = ["TableConformance"]

MakeTable = Callable[..., TableSource]


class TableConformance(Conformance):
    """Check a table beside the market data; override the fixture ``make_table``."""

    @pytest.fixture
    def make_table(self) -> MakeTable:
        """A function ``(rows, **settings)`` that returns a new table over these rows.

        ``rows`` is a polars frame; write it to a file of the table's format, or hand it over. ``settings`` are
        further fields of its Config.
        """
        raise NotImplementedError("override the fixture make_table: (rows, **settings) -> a new table")

    @pytest.fixture
    def rows(self) -> pl.DataFrame:
        """The rows; override to test with other columns."""
        return pl.DataFrame(
            {
                "symbol": ["AAA", "NA", "007"],
                "kind": ["split", "dividend", "split"],
                "ex_date": [date(2024, 1, 3), date(2024, 1, 4), date(2024, 1, 4)],
                "ratio": [2.0, None, 0.5],
                "amount": [None, 0.25, None],
            }
        )

    def test_it_reads_its_rows(self, make_table: MakeTable, rows: pl.DataFrame) -> None:
        """TK-T01: it is a TableSource, and its rows are those of the input: dates, numbers, text, nothing for none."""
        table = make_table(rows)
        assert isinstance(table, TableSource)
        assert_frame_equal(rows, table.read())

    def test_it_reads_the_same_again(self, make_table: MakeTable, rows: pl.DataFrame) -> None:
        """TK-T02: asked again, it returns the same rows."""
        table = make_table(rows)
        assert_frame_equal(table.read(), table.read())

    def test_the_digest_is_that_of_the_rows(self, make_table: MakeTable, rows: pl.DataFrame) -> None:
        """TK-T03: two tables over the same rows have one digest, before and after reading; other rows another."""
        first = make_table(rows)
        digest = first.digest()
        first.read()
        assert re.fullmatch(r"([0-9a-f]{64})?", digest)
        assert (digest, digest) == (first.digest(), make_table(rows).digest())
        if digest:
            assert digest != make_table(rows.head(-1)).digest()

    def test_columns_are_renamed(self, make_table: MakeTable, rows: pl.DataFrame) -> None:
        """TK-T04: ``columns`` says what a column of the input is called; one that is not there is refused by name."""
        renamed = make_table(rows, columns={"pay_date": "ex_date"}).read()
        assert rows["ex_date"].to_list() == renamed["pay_date"].to_list()
        assert "ex_date" not in renamed.columns
        with pytest.raises(InputError, match="no_such_column"):
            make_table(rows, columns={"pay_date": "no_such_column"}).read()
