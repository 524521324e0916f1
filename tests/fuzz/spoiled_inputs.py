"""Read spoiled files and print as JSON what came of them: ``spoiled_inputs.py FOLDER SEED COUNT FORMS``."""

import json
import os
import random
import resource
import signal
import sys
import traceback
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from ml4t.backtest import Engine
from ml4t.backtest.core.sessions import AlwaysOpen, SessionTable
from ml4t.backtest.core.stamps import derive
from ml4t.backtest.errors import InputError
from ml4t.backtest.interfaces import Window
from ml4t_backtest_feed_csv.feed import CSVDataFeed
from ml4t_backtest_feed_parquet.feed import ParquetDataFeed
from ml4t_backtest_signal_parquet.source import ParquetSignalSource
from ml4t_backtest_table_standard.parquet import ParquetTable
from ml4t_backtest_table_standard.text import CSVTable
from ml4t_backtest_testkit import make_setup

PATIENCE = 5  # seconds
ODD = [
    "\x00",
    "\ufeff",
    "\u202e",
    "\U0001f4c8",
    "é",
    "'",
    '"',
    "\\",
    "\n",
    "=cmd()",
    "../",
    "{",
    "[[",
    "\U0001d56c",
    "NaN",
    "1e999",
]
BARS = pl.DataFrame(
    {
        "symbol": ["A", "B"] * 12,
        "timestamp": [date(2024, 1, 1) + timedelta(number // 2) for number in range(24)],
        **{name: np.arange(24.0) + 10 for name in ("open", "high", "low", "close", "volume")},
    }
)
MINUTES = BARS.with_columns(
    timestamp=pl.Series([datetime(2024, 1, 2, 9, number // 2, tzinfo=UTC) for number in range(24)]).cast(
        pl.Datetime("ns", "UTC")
    )
)
SCORES = BARS.select("symbol", "timestamp", score=pl.col("close"))
ACTIONS = pl.DataFrame({"symbol": ["A"], "kind": ["split"], "ex_date": [date(2024, 1, 5)], "ratio": [2.0]})
RUN_FILE = """schema = 1
name = "small"
seed = 7
start = 2024-01-01
end = "2024-01-10"
warmup = "3d"
capital = { USD = 10_000 }
base_currency = "USD"
[clock]
calendar = "24/7"
[[feed]]
use = "parquet"
path = "prices.parquet"
bar = "1d"
prices = "raw"
columns = { close = "close" }
symbols = ["A", "B"]
[[signal]]
use = "parquet"
path = "scores.parquet"
valid_for = "5d"
[strategy]
use = "signal"
long = 1
[broker]
use = "simulation"
fill = { use = "next-open" }
slippage = { use = "bps", bps = 5.0 }
commission = { use = "per-share", rate = 0.005, minimum = 1.0 }
[account]
type = "margin"
[gate]
zero-volume = "ignore"
[[risk]]
use = "max-position"
units = 1000
"""
VALUES = [
    "0", "-1", "1e400", "nan", "inf", "9223372036854775808", "-9223372036854775808", "true", '""', '"x"', "[]", "{}",
    "[[1]]", "[1, 'a']", "2024-02-30", "2024-01-01T00:00:00Z", "07:32:00", '"\\u0000"', '"' + "x" * 5000 + '"',
    "{ a = { b = { c = 1 } } }", "[" * 200 + "]" * 200, '"../../etc/passwd"', '"ftp://127.0.0.1:1/x.parquet"', "0xff",
]  # fmt: skip
TYPES = [
    pl.Int8, pl.UInt64, pl.Float32, pl.Boolean, pl.String, pl.Binary, pl.Categorical, pl.Null, pl.Time, pl.Date,
    pl.Duration("us"), pl.Datetime("ms"), pl.Datetime("ns", "Asia/Kolkata"), pl.Decimal(20, 4), pl.List(pl.Float64),
    pl.Int128,
]  # fmt: skip
EXTREMES = [
    None, float("nan"), float("inf"), -1e308, 5e-324, 2**62, -(2**62), "", "x" * 1000, "\u202e\x00", Decimal("1e10"),
    date(1, 1, 1), date(9999, 12, 31), datetime(1969, 12, 31, tzinfo=UTC), [1.0], {"a": 1}, b"\xff\x00", True,
]  # fmt: skip


def spoil_bytes(data, rng):
    """Flip, cut, repeat, blank or overwrite bytes; the last ones, where Parquet keeps its schema, more often."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        size = max(1, len(data))
        place = rng.randrange(size) if rng.random() < 0.5 else max(0, size - 1 - rng.randrange(min(size, 600)))
        length = rng.choice((1, 1, 4, 8, 64))
        kind = rng.randrange(7)
        if kind == 0 and data:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            data[place : place + length] = b"\xff" * length
        elif kind == 3:
            data[place : place + length] = bytes(length)
        elif kind == 4:
            data[place:place] = rng.randbytes(length)
        elif kind == 5:
            data[place:place] = data[place : place + 64]
        else:
            del data[place : place + length]
    return bytes(data)


def spoil_frame(frame, rng):
    """Change types, values, names and rows."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not frame.width:
            break
        name = rng.choice(frame.columns)
        kind = rng.randrange(6)
        try:
            if kind == 0:
                frame = frame.with_columns(pl.col(name).cast(rng.choice(TYPES), strict=False))
            elif kind == 1:
                values = frame[name].to_list()
                values[rng.randrange(len(values))] = rng.choice(EXTREMES)
                frame = frame.with_columns(pl.Series(name, values, strict=False))
            elif kind == 2:
                frame = frame.with_columns(pl.lit(rng.choice(EXTREMES)).alias(name))
            elif kind == 3:
                frame = frame.rename({name: rng.choice([*ODD, "known_at", "event_time", "bar_start", name.upper()])})
            elif kind == 4:
                frame = frame.sample(fraction=1.0, shuffle=True, seed=rng.randrange(99))
            else:
                frame = frame.drop(name) if rng.random() < 0.5 else frame.head(rng.randrange(2))
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError, IndexError):
            continue  # no such frame can be made, so nobody has one in a file
    return frame


def spoil_text(text, rng):
    """Change lines, values and characters of a run file."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        place, kind = rng.randrange(len(lines)), rng.randrange(6)
        if kind <= 1 and " = " in lines[place]:
            lines[place] = lines[place].split(" = ")[0] + " = " + rng.choice(VALUES)
        elif kind == 2:
            lines.insert(place, rng.choice(lines))
        elif kind == 3 and len(lines) > 1:
            del lines[place]
        elif kind == 4:
            line, where = lines[place], rng.randrange(len(lines[place]) + 1)
            lines[place] = line[:where] + rng.choice(ODD) + line[where:]
        else:
            lines[place] = "[" * rng.choice((1, 2, 3)) + rng.choice(lines).strip("[]") + "]" * rng.choice((1, 2))
    return "\n".join(lines)


def read_source(cls, path, folder, **settings):
    """Read a source as a run does: settings, rows, stamps."""
    config = Engine.configure(cls.Config, {"path": path, **settings}, where="feed", owner="fuzz")
    source = cls(config, make_setup("fuzz", folder))
    try:
        source.open(Window())
        for batch in source.batches():
            derive(source.spec.rule, batch, SESSIONS)
        source.digest()
    finally:
        source.close()


def read_table(cls, path, folder):
    """Read a table."""
    cls(cls.Config(path=path), make_setup("fuzz", folder)).read()


SESSIONS = SessionTable(AlwaysOpen().sessions(date(1970, 1, 1), date(2040, 1, 1)), timezone="UTC", name="24/7")
DAILY = {"bar": "1d", "prices": "raw"}
INTRADAY = {"bar": "1m", "stamp": "close", "prices": "raw"}
READERS = {
    "parquet": [
        (BARS, lambda path, folder: read_source(ParquetDataFeed, path, folder, **DAILY)),
        (MINUTES, lambda path, folder: read_source(ParquetDataFeed, path, folder, **INTRADAY)),
        (SCORES, lambda path, folder: read_source(ParquetSignalSource, path, folder)),
        (ACTIONS, lambda path, folder: read_table(ParquetTable, path, folder)),
    ],
    "csv": [
        (BARS, lambda path, folder: read_source(CSVDataFeed, path, folder, **DAILY)),
        (MINUTES, lambda path, folder: read_source(CSVDataFeed, path, folder, **INTRADAY)),
        (ACTIONS, lambda path, folder: read_table(CSVTable, path, folder)),
    ],
}


def spoiled_file(form, folder, rng):
    """Write one spoiled file; return what reads it."""
    path = folder / f"spoiled.{form}"
    if form == "toml":
        text = spoil_text(RUN_FILE, rng)
        data = text.encode("utf-8", "surrogatepass")
        path.write_bytes(data if rng.random() < 0.8 else spoil_bytes(data, rng))
        return lambda: Engine.from_file(path)
    frame, read = rng.choice(READERS[form])
    spoiled = frame if rng.random() < 0.5 else spoil_frame(frame, rng)
    try:
        getattr(spoiled, f"write_{form}")(path)
    except BaseException:  # what cannot be written is in no file
        getattr(frame, f"write_{form}")(path)
        spoiled = frame
    if spoiled is frame or rng.random() < 0.2:
        path.write_bytes(spoil_bytes(path.read_bytes(), rng))
    return lambda: read(path.name, folder)


def main(folder, seed, count, forms):
    """Read as many spoiled files as asked for; print counts, faults and memory."""
    folder = Path(folder)
    os.chdir(folder)
    BARS.write_parquet("prices.parquet")
    SCORES.write_parquet("scores.parquet")
    (folder / "run.toml").write_text(RUN_FILE)
    Engine.from_file(folder / "run.toml")  # what is spoiled is sound otherwise
    outcomes, faults = Counter(), []

    def impatient(number, frame):
        raise TimeoutError(f"took more than {PATIENCE} s")

    signal.signal(signal.SIGALRM, impatient)
    for number in range(seed, seed + count):
        rng = random.Random(number)
        form = rng.choice(forms)
        read = spoiled_file(form, folder, rng)
        signal.alarm(PATIENCE)
        try:
            read()
            outcomes[f"{form} read"] += 1
        except InputError:
            outcomes[f"{form} refused"] += 1
        except BaseException as error:  # panics of compiled code are no Exception
            outcomes[f"{form} fault"] += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            faults.append(
                [number, form, f"{type(error).__name__}: {error}"[:300], f"{Path(where.filename).name}:{where.lineno}"]
            )
        finally:
            signal.alarm(0)
    memory = _peak()
    print(json.dumps({"outcomes": outcomes, "faults": faults[:200], "count": len(faults), "megabytes": memory}))


def _peak() -> int:
    """Return the peak of resident memory in MB; ``ru_maxrss`` counts what the parent had when it made this process."""
    told = Path("/proc/self/status")
    if not told.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)
    return int(next(line for line in told.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) >> 10


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].split(","))
