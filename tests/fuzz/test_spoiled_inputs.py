"""Spoiled files are refused with documented errors: nothing crashes, hangs or eats memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("spoiled_inputs.py")
FORMS = ("parquet", "csv", "toml")
MEGABYTES = 512


def read_spoiled(folder, seed, count, forms="parquet,csv,toml", timeout=300):
    """Read spoiled files in a process of its own; return what it says of them."""
    command = [sys.executable, "-I", str(SCRIPT), str(folder), str(seed), str(count), forms]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "RUST_BACKTRACE": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, env=environment)
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("form", FORMS)
def test_spoiled_files_are_read_or_refused(tmp_path, form):
    """Two hundred of each form, some of which happen to be sound."""
    said = read_spoiled(tmp_path, 1_000_000, 200, form)
    assert [] == said["faults"]
    assert {f"{form} read", f"{form} refused"} == set(said["outcomes"])
    assert 200 == sum(said["outcomes"].values())
    assert said["megabytes"] < MEGABYTES


@pytest.mark.exhaustive
@pytest.mark.parametrize("batch", range(100))
def test_a_hundred_thousand_spoiled_files_are_read_or_refused(tmp_path, batch):
    """In batches of a thousand, each with other seeds."""
    said = read_spoiled(tmp_path, batch * 1_000, 1_000)
    assert [] == said["faults"]
    assert 1_000 == sum(said["outcomes"].values())
    assert said["megabytes"] < MEGABYTES
