"""The run directory: a run's frames as Parquet files, its figures and its manifest as JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ml4t.backtest.errors import InputError
from ml4t.backtest.interfaces import Reporter, Setup

if TYPE_CHECKING:
    from ml4t.backtest.interfaces.result import Result

__all__ = ["ParquetReporter", "ParquetReporterConfig"]

FRAMES = (
    "orders",
    "fills",
    "targets",
    "trades",
    "ledger",
    "positions",
    "equity",
    "books",
    "signals",
    "records",
)
MANIFEST = "manifest.json"
# Names are fixed here and nowhere else, so that no run can write outside its folder.
FILES = (*(f"{name}.parquet" for name in FRAMES), "metrics.json", MANIFEST)


@dataclass(frozen=True, kw_only=True)
class ParquetReporterConfig:
    """How the run directory is written.

    Attributes:
        overwrite: Whether files of an earlier run in the same folder may be replaced; by default a folder
            that is not empty is refused.
        compression: Compression of the Parquet files.
    """

    overwrite: bool = False
    compression: Literal["zstd", "lz4", "snappy", "uncompressed"] = "zstd"


class ParquetReporter(Reporter):
    """Writes the run directory once the run has ended, well or not; writes nothing when there is no folder.

    Each file is written under a temporary name and renamed, the manifest last: a folder with a manifest is
    whole, and one without is what a killed process left.

    Args:
        config: How to write.
        setup: Not used; the folder comes from the engine.
    """

    Config = ParquetReporterConfig

    def __init__(self, config: ParquetReporterConfig, setup: Setup) -> None:
        self._config = config

    def started(self, header: tuple[str, ...], out: Path | None) -> None:
        """Check that the folder may be written to; nothing is made yet.

        Raises:
            InputError: It is no folder, or holds files and ``overwrite`` is off.
        """
        if out is None or not out.exists():
            return
        if not out.is_dir():
            raise InputError(f"run folder {out} is a file: choose another with --out (in Python: out=)")
        if any(out.iterdir()) and not self._config.overwrite:
            remedy = 'choose another with --out (in Python: out=), or set overwrite = true under the reporter "parquet"'
            raise InputError(f"run folder {out} is not empty: {remedy}")

    def finished(self, result: Result, out: Path | None) -> None:
        """Write every file, also of a run that failed or was interrupted; the manifest says how it ended."""
        if out is None:
            return
        out.mkdir(parents=True, exist_ok=True)
        (out / MANIFEST).unlink(missing_ok=True)
        for name in FRAMES:
            write = partial(getattr(result, name).write_parquet, compression=self._config.compression)
            _write(out / f"{name}.parquet", write)
        metrics = {name: value if math.isfinite(value) else None for name, value in result.metrics.items()}
        _write_json(out / "metrics.json", metrics)
        _write_json(out / MANIFEST, result.manifest)


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
