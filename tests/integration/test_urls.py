"""Inputs by URL: a web server and ``file://`` stand for object stores."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import polars as pl
import pytest

from ml4t.backtest import Engine
from ml4t.backtest.errors import InputError

DAYS = [date(2024, 1, 2) + timedelta(days=number) for number in range(30)]
PRICES = pl.DataFrame(
    [(day, symbol, 10.0 + number + len(symbol)) for number, day in enumerate(DAYS) for symbol in ("A", "BB")],
    schema=["timestamp", "symbol", "close"],
    orient="row",
).with_columns(open=pl.col("close") - 0.5)
SIGNAL = PRICES.select(
    "timestamp", "symbol", score=(pl.col("timestamp").dt.day() % 2 - 0.5) * (pl.col("symbol") == "A")
)
ACTIONS = pl.DataFrame({"symbol": ["A"], "kind": ["dividend"], "ex_date": [DAYS[9]], "amount": [0.25]})


class Ranges(BaseHTTPRequestHandler):
    """Serve the files of a folder, whole or a range of their bytes, and count the bytes."""

    root: Path
    sent: dict[str, int]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        file = self.root / self.path.lstrip("/").partition("?")[0]
        if not file.is_file():
            self.send_error(404)
            return
        content = file.read_bytes()
        asked = re.match(r"bytes=(\d*)-(\d*)$", self.headers.get("Range", ""))
        first, last = 0, len(content) - 1
        if asked and asked[1]:
            first, last = int(asked[1]), min(int(asked[2] or last), last)
        elif asked:
            first = max(0, len(content) - int(asked[2]))
        part = content[first : last + 1] if body else b""
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        self.sent[file.name] = self.sent.get(file.name, 0) + len(part)
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path) -> Iterator[tuple[str, Path, dict[str, int]]]:
    """The address of a server, the folder that it serves, and how many bytes of each file it sent."""
    handler = type("Served", (Ranges,), {"root": tmp_path, "sent": {}})
    serving = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}", tmp_path, handler.sent
    serving.shutdown()
    thread.join()
    serving.server_close()


def written(folder: Path) -> None:
    """Write the prices, the signal and the actions in all forms."""
    for name, frame in (("prices", PRICES), ("signal", SIGNAL), ("actions", ACTIONS)):
        frame.write_parquet(folder / f"{name}.parquet")
        frame.write_csv(folder / f"{name}.csv")
        frame.write_ipc(folder / f"{name}.arrow")


def run(place, use="parquet", ending="parquet", **further):
    """Run a strategy of signals over inputs in a place."""
    return Engine(
        feed={"use": use, "path": f"{place}/prices.{ending}", "prices": "raw", **further},
        signal={"use": "parquet", "path": f"{place}/signal.parquet"},
        actions={
            "use": "parquet" if use == "ipc" else use,
            "path": f"{place}/actions.{'csv' if use == 'csv' else 'parquet'}",
        },
        strategy={"use": "signal", "signal": "score", "long": 1},
        reporter=[],
    ).run()


@pytest.mark.parametrize(("use", "ending"), [("parquet", "parquet"), ("csv", "csv"), ("ipc", "arrow")])
def test_a_url_gives_the_run_of_the_file(server, use, ending):
    """Feeds, signals and tables, over ``http://`` and ``file://``."""
    address, folder, sent = server
    written(folder)
    local = run(folder, use, ending)
    assert local.fills.height > 5
    for place in (address, f"file://{folder}"):
        remote = run(place, use, ending)
        assert (local.decision_hash, local.result_hash) == (remote.decision_hash, remote.result_hash)
    assert sent[f"prices.{ending}"] > 0


def test_a_url_has_a_digest_of_what_was_read(server):
    """The same for the same columns, another one for others."""
    address, folder, _ = server
    written(folder)
    first, again, fewer = run(address), run(address), run(address, symbols=["A"])
    assert 64 == len(first.manifest["inputs"]["parquet"])
    assert first.manifest["inputs"] == again.manifest["inputs"]
    assert first.manifest["inputs"]["parquet"] != fewer.manifest["inputs"]["parquet"]


def test_the_columns_that_no_run_needs_are_not_fetched(server):
    """Parquet is read by ranges of bytes."""
    address, folder, sent = server
    written(folder)
    ballast = pl.Series("ballast", [f"{number:x}" * 9000 for number in range(PRICES.height)])
    whole = PRICES.with_columns(ballast, pl.col("close").hash().alias("more"))
    whole.write_parquet(folder / "prices.parquet", compression="uncompressed", row_group_size=10)
    run(address)
    assert sent["prices.parquet"] < 0.5 * (folder / "prices.parquet").stat().st_size


def test_a_url_that_is_not_there_is_refused_by_name(server):
    """Before the run."""
    address, folder, _ = server
    written(folder)
    for use, ending in (("parquet", "parquet"), ("csv", "csv"), ("ipc", "arrow")):
        (folder / f"prices.{ending}").unlink()
        with pytest.raises(InputError, match=f"prices.{ending}: cannot be read"):
            run(address, use, ending)
