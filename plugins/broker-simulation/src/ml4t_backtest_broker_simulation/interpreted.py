"""The entries of the core where nothing is compiled: the same source, run by Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ml4t_backtest_broker_simulation.checks import finish_orders
from ml4t_backtest_broker_simulation.expire import end_sessions
from ml4t_backtest_broker_simulation.layout import Run
from ml4t_backtest_broker_simulation.match import match_rows
from ml4t_backtest_broker_simulation.plain import match_plain_rows
from ml4t_backtest_broker_simulation.settle import Functions
from ml4t_backtest_broker_simulation.submit import submit_requests

__all__ = ["ENTRIES"]


def _match(run: Run, models: Functions, *arguments: Any) -> None:
    match_rows(run, models, arguments[:6], *arguments[6:])


def _match_plain(run: Run, models: Functions, *arguments: Any) -> None:
    match_plain_rows(run, models, arguments[:6], *arguments[6:])


# As in ``entry``, with the models' functions behind the run.
ENTRIES: Final[dict[str, Callable[..., None]]] = {
    "match": _match,
    "match_plain": _match_plain,
    "submit": lambda run, models, requests: submit_requests(run, requests),
    "end_session": lambda run, models: end_sessions(run),
    "finish": lambda run, models, sums, dust: finish_orders(run, sums, dust),
}
