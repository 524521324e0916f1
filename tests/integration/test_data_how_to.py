"""The run files of the how-to on data run over real data of their kind."""

import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import polars as pl
import pytest

from ml4t_backtest_cli.main import DONE, main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "data.md"
BLOCK = re.compile(r"^```(toml|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What the page calls a file, and a real one of its kind.
FILES = {
    "actions": "corporate_actions",
    "closes": "us20_adjclose_1990_2022_skfolio",
    "crypto_5m": "crypto_5m_binance_btc_pairs",
    "crypto_daily": "crypto_daily_btcusd_coinbase",
    "crypto_trades": "crypto_trades_btcusd_bitstamp_2011",
    "future_1m": "future_1min_6eh4_cme_202401",
    "futures_daily": "future_daily_es_cme",
    "fx_hourly": "fx_hour_eurusd_backtestingpy",
    "fx_hourly_quotes": "fx_hour_quotes_fxcm",
    "fx_minute_quotes": "fx_minute_quotes_usdjpy_fxcm",
    "perpetual_1m": "crypto_perp_1m_btc",
    "quotes": "fx_ticks_usdjpy_truefx",
    "shares_daily": "us_equity_daily_lean",
    "shares_daily_split": "sp500_daily_2013_2018",
    "shares_hourly": "us_equity_hour_lean",
    "shares_minute": "us_equity_minute_trades_lean",
    "trades": "us_equity_ticks_trades_lean",
    "vix": "index_daily_vix_arch",
}


def blocks(language: str) -> list[str]:
    """Return the blocks of the page in a language, in order."""
    return [text for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if kind == language]


def run_files() -> dict[str, str]:
    """Return the run files of the page by their names."""
    found = [(tomllib.loads(text)["name"], text) for text in blocks("toml") if text.startswith("schema = 1")]
    assert len(dict(found)) == len(found), "two run files of one name"
    return dict(found)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the strategy and the data, under the names of the page."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    (tmp_path / "data").mkdir()
    for name, real in FILES.items():
        shutil.copy(shared / "data" / f"{real}.parquet", tmp_path / "data" / f"{name}.parquet")
    for strategy in blocks("python"):
        (name,) = re.findall(r"^class (\w+)\(Strategy\)", strategy, re.MULTILINE)
        (tmp_path / f"{name.lower()}.py").write_text(strategy, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", run_files())
def test_a_run_file_of_the_page_trades_on_real_data(folder, capsys, name):
    """It is done, with fills, and says what its inputs were."""
    (folder / "run.toml").write_text(run_files()[name], encoding="utf-8")
    code = main(["run", "run.toml", "--out", "out"])
    assert DONE == code, capsys.readouterr().err
    (manifest,) = (folder / "out").rglob("manifest.json")
    made = json.loads(manifest.read_text(encoding="utf-8"))
    assert "done" == made["status"]
    assert made["inputs"]
    assert 0 < len(pl.read_parquet(manifest.with_name("fills.parquet")))


def test_every_file_that_the_page_names_has_a_real_one():
    """And none is left over."""
    named = set(re.findall(r'path = "data/(\w+)\.parquet"', "".join(run_files().values())))
    assert sorted(FILES) == sorted(named)
