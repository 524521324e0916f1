"""How far a run is, in one line."""

from __future__ import annotations

import datetime

from ml4t.backtest.interfaces import Progress

__all__ = ["bar", "duration", "line", "share_done", "simulated_date"]

_DAY_NS = 86_400_000_000_000
# A run without an end date gives the largest instant there is as its last.
_ENDLESS_NS = 200 * 365 * _DAY_NS


def share_done(progress: Progress) -> float | None:
    """Return the share of simulated time that has passed, 0 to 1; None where the end is not known."""
    span = progress.last - progress.first
    if not 0 < span < _ENDLESS_NS:
        return None
    return min(1.0, max(0.0, (progress.now - progress.first) / span))


def simulated_date(progress: Progress) -> str:
    """Return the UTC date of the instant just finished."""
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=progress.now // _DAY_NS)).isoformat()


def duration(seconds: float) -> str:
    """Return a duration as a person says it: ``0.8 s``, ``12 s``, ``3:07``, ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def line(progress: Progress) -> str:
    """Return rows done, simulated date, speed and time left."""
    share = share_done(progress)
    speed = progress.rows / progress.elapsed if progress.elapsed > 0 else 0.0
    text = f"{progress.rows:,} rows  {simulated_date(progress)}  {speed:,.0f} rows/s"
    if share is None:
        return text
    left = duration(progress.elapsed * (1 - share) / share) if share > 0 else "?"
    return f"{share:4.0%}  {text}  {left} left"


def bar(progress: Progress, columns: int) -> str:
    """Return ``line`` behind a bar, cut to the width of the terminal.

    Args:
        progress: How far the run is.
        columns: Width of the terminal in characters.
    """
    text = line(progress)
    width = min(30, columns - len(text) - 4)
    share = share_done(progress)
    if width < 5 or share is None:
        return text[: columns - 1]
    full = round(share * width)
    return f"[{'#' * full}{'.' * (width - full)}] {text}"
