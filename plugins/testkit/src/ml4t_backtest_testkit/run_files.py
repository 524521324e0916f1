"""Write a run file with its data and its strategy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["toml_text", "write_run_file"]

_STRATEGY = '''\
"""Buy once and hold."""

from ml4t.backtest import Strategy


class BuyOnce(Strategy):
    """Buys ten of every symbol that it has none of."""

    def on_slice(self, market, context):
        for symbol in context.symbols:
            context.order_target(symbol, 10)
'''


def write_run_file(
    folder: Path,
    prices: pl.DataFrame,
    settings: Mapping[str, object] | None = None,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write ``run.toml``, ``prices.parquet`` and ``buy_once.py`` into a folder.

    Args:
        folder: Where to write.
        prices: Bars, see ``random_market``.
        settings: Top-level keys to add, to replace, or with None to leave out.
        files: Further files, name -> text.

    Returns:
        The path of the run file.
    """
    prices.write_parquet(folder / "prices.parquet")
    for name, text in {"buy_once.py": _STRATEGY, **(files or {})}.items():
        (folder / name).write_text(text, encoding="utf-8")
    intraday = {} if prices["timestamp"].dtype.is_(prices["timestamp"].dt.date().dtype) else {"stamp": "close"}
    bar = {"bar": "1m", **intraday} if intraday else {"bar": "1d"}
    whole: dict[str, object] = {
        "schema": 1,
        "name": "test",
        "seed": 1,
        "feed": [{"use": "parquet", "path": "prices.parquet", "prices": "raw", **bar}],
        "strategy": {"use": "buy_once:BuyOnce"},
        **(settings or {}),
    }
    path = folder / "run.toml"
    path.write_text(toml_text({key: value for key, value in whole.items() if value is not None}), "utf-8")
    return path


def toml_text(settings: Mapping[str, object]) -> str:
    """Return settings as TOML: numbers, texts, dates, lists and tables, the latter inline."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in settings.items())


def _key(key: str) -> str:
    return key if key.replace("-", "_").isidentifier() else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False)
