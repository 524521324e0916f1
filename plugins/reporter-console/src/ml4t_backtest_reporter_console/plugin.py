"""Offer progress and summary as the reporter ``console``."""

from collections.abc import Mapping

from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="reporter-console", summary="progress and a summary in the terminal")


@hookimpl
def ml4t_register_reporters() -> Mapping[str, str]:
    """Register the reporter."""
    return {"console": "ml4t_backtest_reporter_console.reporter:ConsoleReporter"}
