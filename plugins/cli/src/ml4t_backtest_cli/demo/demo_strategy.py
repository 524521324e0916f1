"""The demo's strategy: buy what rose most over the past year, once a month."""

import numpy as np

from ml4t.backtest import Context, Strategy


class Momentum(Strategy):
    """Cross-sectional momentum at equal weights.

    Args:
        hold: How many symbols to hold.
        lookback: Sessions over which the rise is measured.
        skip: Newest sessions left out of it; the last month tends to reverse.
    """

    def __init__(self, hold: int = 5, lookback: int = 252, skip: int = 21) -> None:
        self.hold, self.lookback, self.skip = hold, lookback, skip

    def on_start(self, context: Context) -> None:
        """Say how far back we look and when to trade: nothing more may be asked for later."""
        context.subscribe("prices", "close", history=self.lookback + 1)
        context.schedule(self.rebalance, "monthly", at="close")

    def rebalance(self, context: Context) -> None:
        """Rank by the closes known now, the newest of which is today's; orders fill at the next close."""
        close = context.history("close", self.lookback + 1)  # (sessions, symbols), oldest first
        rise = close[-1 - self.skip] / close[0] - 1.0
        ranked = np.argsort(np.where(np.isnan(rise), -np.inf, rise), kind="stable")[::-1]
        weights = np.zeros(len(rise))  # 0 sells what is held
        weights[ranked[: self.hold]] = 1.0 / self.hold
        context.order_target_weights(weights)
        context.record(best_rise=rise[ranked[0]])
