"""The feed over DuckDB databases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import duckdb
import polars as pl

from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import CheckedSource, DataFeed, FeedConfig, Setup, Window

__all__ = ["DuckDBDataFeed", "DuckDBFeedConfig"]


@dataclass(frozen=True, kw_only=True)
class DuckDBFeedConfig(FeedConfig):
    """What a feed of a DuckDB database reads, beside the settings of every feed that reads columns.

    Attributes:
        path: The database file, relative to the run file; none by default, for a ``query`` that reads files.
        table: The table or view to read, such as ``prices`` or ``market.prices``.
        query: One ``SELECT`` to read instead; the names of files in it are relative to the run file.
        sort: Whether to sort the rows, as those of a table have no order; true by default.
    """

    path: str | None = None
    table: str | None = None
    query: str | None = None
    sort: bool = True


class DuckDBDataFeed(CheckedSource, DataFeed):
    """Bars, quotes or trades of a table or query; columns, symbols and days that no run needs are not fetched."""

    Config = DuckDBFeedConfig

    def __init__(self, config: DuckDBFeedConfig, setup: Setup) -> None:
        self._config, self._setup, self._gate = config, setup, setup.gate
        what = config.table or "<query>"
        self._origin = what if config.path is None else f"{config.path}: {what}"

    def open(self, window: Window) -> None:
        """Open the database read-only, fetch the rows and check them.

        Raises:
            DataError: Naming database, table, what is wrong and what to do.
        """
        with self._connection() as connection:
            try:
                frame = self._fetch(connection, window)
            except duckdb.Error as error:
                fault = str(error).partition("\n")[0]
                raise DataError(f"{self._origin}: cannot be read: {fault}; correct table or query") from error
        self.rows = self._gate.open_rows(
            frame.lazy(),
            self._config,
            window,
            name=self._setup.name,
            origin=self._origin,
            place=lambda _: self._origin,
        )

    def digest(self) -> str:
        """SHA-256 (hex) of the columns read."""
        return self._gate.digest_files([self._origin], self.rows)

    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._config.path is None:
            connection = duckdb.connect(":memory:")
        else:
            files = self._gate.find_files(self._config.path, self._setup)
            if len(files) > 1:
                raise DataError(f"{self._config.path}: {len(files)} files have such names; give one database per feed")
            try:
                connection = duckdb.connect(str(files[0]), read_only=True)
            except duckdb.Error as error:
                fault = str(error).partition("\n")[0]
                raise DataError(f"{self._config.path}: cannot be read as a DuckDB database: {fault}") from error
        folder = str(self._setup.base_dir.absolute())
        connection.execute("SET file_search_path = ?", [folder])
        connection.execute("SET TimeZone = 'UTC'")  # else stamps come in the zone of the machine
        return connection

    def _fetch(self, connection: duckdb.DuckDBPyConnection, window: Window) -> pl.DataFrame:
        asked = self._asked(connection)
        every = connection.sql(f"SELECT * FROM ({asked}\n) LIMIT 0")
        taken = [name for name, kind in zip(every.columns, every.types, strict=True) if "INTERVAL" not in str(kind)]
        if not taken:
            raise DataError(f"{self._origin}: all of its columns are intervals; read columns of stamps and numbers")
        schema = pl.DataFrame(every.select(*map(duckdb.ColumnExpression, taken))).schema  # polars has no intervals
        found = self._gate.arrange(schema, self._config, self._origin)
        names = dict.fromkeys(found.columns.values())
        where = ["true"]
        if self._config.symbols and "symbol" in found.columns:
            symbols = ", ".join("'" + name.replace("'", "''") + "'" for name in self._config.symbols)
            where.append(f"CAST({_quoted(found.columns['symbol'])} AS VARCHAR) IN ({symbols})")
        time = found.columns[found.times[0]]
        if isinstance(schema[time], pl.Date | pl.Datetime):
            first, last = self._bounds(window)
            late = _quoted(found.columns["known_at"]) if "known_at" in found.times[1:] else None
            if first and late:  # what is known late may be needed, however old it is
                where.append(f"({_quoted(time)} {first} OR {late} {first})")
            elif first:
                where.append(f"{_quoted(time)} {first}")
            where += [f"{_quoted(time)} {last}"] if last else []
        chosen = ", ".join(map(_quoted, names))
        return pl.DataFrame(connection.sql(f"SELECT {chosen} FROM ({asked}\n) WHERE {' AND '.join(where)}"))

    def _asked(self, connection: duckdb.DuckDBPyConnection) -> str:
        table, query = self._config.table, self._config.query
        if (table is None) == (query is None):
            raise DataError(f"{self._origin}: say what to read: one of table and query")
        if table is not None:
            return "SELECT * FROM " + ".".join(map(_quoted, table.split(".")))
        statements = connection.extract_statements(query or "")
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise DataError(f"{self._origin}: query is no single SELECT; write one, as in SELECT * FROM prices")
        return statements[0].query.strip().rstrip(";")

    def _bounds(self, window: Window) -> tuple[str, str]:
        """Return how stamps compare with the first and the last day needed; empty where all are."""
        # Days more than the gate keeps, as stamps may be of any zone.
        texts = {"latency": self._config.latency, "grace": self._config.grace}
        delay = sum(parse_duration(text, f"{self._origin}: {key}") for key, text in texts.items() if text)
        first = "" if window.first is None else f">= DATE '{_day(window.first - delay) - timedelta(days=2)}'"
        return first, "" if window.last is None else f"< DATE '{_day(window.last) + timedelta(days=3)}'"


def _day(instant: int) -> date:
    return datetime.fromtimestamp(instant // 10**9, UTC).date()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
