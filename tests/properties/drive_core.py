"""Drive broker, costs and portfolio over a random market and print the SHA-256 of each table as JSON.

Run as a script, so that one process can compile and another interpret.
"""

import hashlib
import json
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from ml4t_backtest_engine_standard.compiled_cache import prepare_cache

PACKAGES = [
    "ml4t_backtest_broker_simulation",
    *(f"ml4t_backtest_{kind}_standard" for kind in ("fill", "slippage", "commission", "portfolio")),
]
DAY = 86_400 * 10**9
N_SYMBOLS, N_DAYS = 6, 60
SPEC = SimpleNamespace(name="bars", kind="bar", fields=("open", "high", "low", "close", "volume"))


@dataclass
class Bars:
    known_at: np.ndarray
    event_time: np.ndarray
    bar_start: np.ndarray
    symbol: np.ndarray
    values: np.ndarray
    ohlcv: np.ndarray
    spec: object


def make_bars(random):
    prices = random.uniform(0.5, 400.0, (5, N_DAYS * N_SYMBOLS))
    prices[random.random(prices.shape) < 0.1] = np.nan
    start = np.repeat(np.arange(N_DAYS) * DAY, N_SYMBOLS)
    symbol = np.tile(np.arange(N_SYMBOLS, dtype=np.int32), N_DAYS)
    return Bars(start + DAY, start + DAY, start, symbol, prices, np.arange(5), SPEC)


def make_requests(random, n_orders):
    from ml4t.backtest.state import REQUEST

    rows = np.zeros(int(random.integers(0, 9)), REQUEST)
    for row in rows:
        row["action"] = random.choice([0, 0, 0, 0, 1, 2])
        row["kind"] = random.choice([0, 0, 0, 0, 0, 1])
        row["group"] = row["parent"] = -1
        row["counts"] = 1
        row["limit_price"] = random.choice([np.nan, *random.uniform(0.5, 400.0, 3)])
        row["symbol"] = random.integers(N_SYMBOLS)
        row["is_target"] = random.integers(2)
        row["order_id"] = random.integers(-1, n_orders + 3)
        row["quantity"] = random.choice([0.0, np.nan, *random.uniform(-90, 90, 9).round(3)])
    return rows


def run(mode, costs, seed):
    from ml4t.backtest.interfaces import ExecutionModels, Setup
    from ml4t.backtest.state import RunState
    from ml4t_backtest_broker_simulation.broker import SimulationBroker
    from ml4t_backtest_commission_standard import models as commission
    from ml4t_backtest_fill_standard import models as fill
    from ml4t_backtest_portfolio_standard.portfolio import PortfolioAccounting
    from ml4t_backtest_slippage_standard import models as slippage

    def make(cls, **settings):
        return cls(cls.Config(**settings), Setup(name=cls.__name__))

    state = RunState()
    state.add_symbols([f"S{i}" for i in range(N_SYMBOLS)])
    portfolio, broker = make(PortfolioAccounting), make(SimulationBroker)
    portfolio.open(state, {"USD": 1e6})
    models = ExecutionModels(
        fill=make({"next-open": fill.NextOpen, "next-close": fill.NextClose, "same-close": fill.SameClose}[mode]),
        slippage=make(slippage.BasisPointSlippage, bps=7.0) if costs else None,
        commission=make(commission.PerShareCommission, rate=0.005, minimum=1.0) if costs else None,
    )
    broker.open(state, models, portfolio)
    random = np.random.default_rng(seed)
    bars = make_bars(random)
    for day in range(N_DAYS):
        first, stop = day * N_SYMBOLS, (day + 1) * N_SYMBOLS
        state.now = (day + 1) * DAY
        broker.match(bars, first, stop)
        close = bars.values[3, first:stop]
        state.instruments["mark"] = np.where(np.isnan(close), state.instruments["mark"], close)
        broker.submit(make_requests(random, state.orders.count))
        broker.match_now(bars, first, stop)
        portfolio.sample(state.now, day)
    broker.finish()
    grown = (state.orders, state.order_events, state.fills, state.ledger, state.equity)
    fixed = (state.books, state.positions, state.accounts, state.counters)
    contents = [table.rows().tobytes() for table in grown] + [array.tobytes() for array in fixed]
    figures = json.dumps([portfolio.metrics(), portfolio.trades().write_json()], sort_keys=True)
    digests = [hashlib.sha256(each).hexdigest() for each in [*contents, figures.encode()]]
    return {"fills": state.fills.count, "digests": digests}


if __name__ == "__main__":
    prepare_cache(PACKAGES)
    found = {
        f"{mode} {costs} {seed}": run(mode, costs, seed)
        for mode in ("next-open", "next-close", "same-close")
        for costs in (False, True)
        for seed in (1, 2)
    }
    json.dump(found, sys.stdout)
