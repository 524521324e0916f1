"""Timers: calls at an instant, or again and again from then on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from ml4t.backtest.core.clock import Clock
from ml4t.backtest.core.sessions import to_ns
from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.errors import RunError, RunFileError

__all__ = ["Timers"]


@dataclass(eq=False)
class _Timer:
    """What is called when; ``due`` is UTC ns, before the first instant ns after it."""

    callback: Callable[[Any], None]
    due: int
    every: int
    relative: bool


class Timers:
    """Collects the timers of a strategy; the loop takes new ones once the callback has returned.

    Attributes:
        waiting: Those that the loop has not taken yet.
        running: Those that it has, and that will be called again or for the first time.
    """

    def __init__(self) -> None:
        self.waiting: list[_Timer] = []
        self.running: list[_Timer] = []

    def add(self, callback: Callable[[Any], None], at: datetime | None, after: str, every: str, now: int) -> None:
        """Note a timer; see ``Context.timer``.

        Args:
            callback: Takes the context.
            at: First call; None for ``after``, or ``every``, from now.
            after: Duration until the first call; empty for ``at``.
            every: Duration from call to call; empty for one call.
            now: The present, UTC ns; 0 before the first instant.

        Raises:
            RunError: It is not said when, or when is not later than now.
        """
        name = getattr(callback, "__name__", callback)
        asked = f"timer({name!s}, at={at}, after={after!r}, every={every!r})"
        if not callable(callback) or not isinstance(at, datetime | None) or {type(after), type(every)} != {str}:
            what = (
                'callback takes the context, at is a datetime with a time zone, after and every are text such as "90m"'
            )
            raise RunError(f"{asked} is not understood: {what}")
        try:
            wait, period = (parse_duration(text) if text else 0 for text in (after, every))
        except RunFileError as error:
            raise RunError(f"{asked}: {error}") from None
        if (at is None) == (not after) and not (at is None and every):
            raise RunError(f"{asked} is not understood: give at or after, or every alone")
        if at is not None and at.tzinfo is None:
            raise RunError(f"{asked}: at has no time zone; add one, as in datetime(2024, 7, 2, 15, tzinfo=UTC)")
        if (after and not wait) or (every and not period):
            raise RunError(f"{asked}: a duration is nothing; give more")
        due = to_ns(at) if at is not None else now + (wait or period)
        if due <= now:
            raise RunError(f"{asked} is not later than the present; give a later instant")
        self.waiting.append(_Timer(callback, due, period, at is None and not now))

    def take(self, clock: Clock, begin: int, context: object, before: Callable[[], None] | None) -> None:
        """Hand what is waiting to the clock.

        Args:
            clock: The run's clock.
            begin: First instant with callbacks, UTC ns: timers set before it count from there.
            context: What callbacks are given.
            before: Called before each callback, where there are several strategies.

        Raises:
            RunError: A timer set before the first instant is not later than it.
        """
        for timer in self.waiting:
            timer.due += begin if timer.relative else 0
            if timer.due < begin:
                name = getattr(timer.callback, "__name__", timer.callback)
                raise RunError(f"the timer of {name} is before the first instant of the run; give a later instant")
            self.running.append(timer)
            clock.at(timer.due, partial(self._fire, timer, clock, context, before))
        self.waiting.clear()

    def _fire(self, timer: _Timer, clock: Clock, context: object, before: Callable[[], None] | None) -> None:
        if timer.every:
            timer.due += timer.every
            clock.at(timer.due, partial(self._fire, timer, clock, context, before))
        else:
            self.running.remove(timer)
        if before is not None:
            before()
        timer.callback(context)

    def specs(self) -> list[tuple[str, int, int]]:
        """Return (method name, next call in UTC ns, period in ns) of each timer, which a snapshot keeps."""
        timers = [*self.running, *self.waiting]
        return [(getattr(each.callback, "__name__", repr(each.callback)), each.due, each.every) for each in timers]

    def restore(self, callback: Callable[[Any], None], due: int, every: int) -> None:
        """Note a timer that a snapshot kept."""
        self.waiting.append(_Timer(callback, due, every, False))
