"""Models: signal sources that compute their rows during the run, from what is known then.

They are asked in phase 4, once all other rows of the instant are released. What they say waits here until it is known,
so that no strategy can reach it before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.core.pit import Released
from ml4t.backtest.core.queue import FOREVER, Rows
from ml4t.backtest.errors import RunError
from ml4t.backtest.interfaces import ModelSource, Source
from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.context.context import Context
from ml4t_backtest_engine_standard.context.outbox import Outbox
from ml4t_backtest_engine_standard.context.view import View
from ml4t_backtest_engine_standard.loop.delivery import EVENTS
from ml4t_backtest_engine_standard.result.journal import Journal

__all__ = ["Modelling"]

Floats = NDArray[np.float64]
Releases = list[tuple[Released, Rows, int, int]]


class Modelling:
    """Asks the models of a run, and releases what they say once it is known.

    Args:
        sources: The sources of the run.
        released: What each of them has released.
        make_context: Makes a context around an outbox.
        state: The run's columns.
        journal: Where released rows are noted.

    Attributes:
        present: Whether there is any.
        next: Instant at which something is due without any row, UTC ns; the end of time where nothing is.
        asking: The source that is asked, for the note on an error.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        released: Sequence[Released],
        make_context: Callable[[Outbox], Context],
        state: RunState,
        journal: Journal,
    ) -> None:
        self._state, self._journal = state, journal
        self._places = {each.spec.name: place for place, each in enumerate(released)}
        pairs = zip(sources, released, strict=True)
        self._models = [_Model(source, own) for source, own in pairs if isinstance(source, ModelSource)]
        self.present = bool(self._models)
        if self.present:
            outbox = Outbox(state)
            outbox.closed = True  # a model has nothing to order with
            self._view = View(make_context(outbox))
        driving = [each.spec for each in released if each.spec.kind in EVENTS and each.spec.drives]
        self._delay = max((spec.rule.latency_ns + spec.rule.grace_ns for spec in driving), default=0)
        self._due: list[int] = []  # closes whose rows are still to come; several where latency exceeds a session
        self.next = FOREVER
        self.asking: Source | None = None
        for model in self._models:
            for each in released:
                each.keep(model.source.history)

    def update(self, parts: Releases, closes: int | None) -> None:
        """Ask the models that are due, and add what is known now to the rows of this instant.

        Args:
            parts: The rows of this instant, released already; in the order of the run file afterwards too.
            closes: Row of the session table that closes at this instant; None where none does.
        """
        now = self._state.now
        rows_came = any(each.spec.drives and each.spec.kind in EVENTS for each, *_ in parts)
        if closes is not None:
            self._due.append(now + self._delay)
        waiting = [instant for instant in self._due if instant > now]
        closed, self._due = len(waiting) < len(self._due), waiting
        before = len(parts)
        for model in self._models:
            if rows_came if model.source.every == "slice" else closed:
                self._ask(model)
            while model.waiting and int(model.waiting[0].known_at) <= now:
                rows = self._release(model, model.waiting.pop(0))
                if len(rows):
                    parts.append((model.released, rows, 0, len(rows)))
        if len(parts) > before:
            parts.sort(key=lambda part: self._places[part[0].spec.name])
        times = [model.waiting[0].known_at for model in self._models if model.waiting]
        self.next = min([*self._due[:1], *times], default=FOREVER)

    def _ask(self, model: _Model) -> None:
        self.asking, now, spec = model.source, self._state.now, model.released.spec
        said = model.source.evaluate(self._view)
        if said:
            values = self._checked(said, spec.name, spec.fields)
            model.waiting.append(_Said(now, now + spec.rule.latency_ns, values))

    def _checked(self, said: Mapping[str, Floats], name: str, fields: Sequence[str]) -> Floats:
        """Return what a model said as float64 (n_fields, n), or raise RunError."""
        names = self._state.symbols.names
        if set(said) != set(fields):
            raise RunError(f"model {name!r} returned {', '.join(said)}, expected {', '.join(fields)}: set `values`")
        values = np.empty((len(fields), len(names)))
        for row, field in enumerate(fields):
            column = np.asarray(said[field], np.float64)
            if column.shape != (len(names),):
                what = f"model {name!r} returned {field!r} of shape {column.shape}, expected ({len(names)},)"
                raise RunError(f"{what}: return a number per symbol of view.symbols, NaN where it is unknown")
            if np.isinf(column).any():
                symbol = names[int(np.isinf(column).argmax())]
                raise RunError(f"model {name!r} returned an infinite {field!r} for {symbol}: return NaN where unknown")
            values[row] = column
        return values

    def _release(self, model: _Model, said: _Said) -> Rows:
        """Release the rows that hold a number; a release without any says that nothing holds, and wakes nobody."""
        released, now = model.released, self._state.now
        ids = np.flatnonzero(np.isfinite(said.values).any(axis=0)).astype(np.int32)
        count, spec = len(ids), released.spec
        event_time, known_at = np.full(count, said.event_time, np.int64), np.full(count, now, np.int64)
        values = np.ascontiguousarray(said.values[:, ids])
        rows = Rows(spec, known_at, event_time, event_time, ids, values, np.full(5, -1, np.int64))
        released.release(rows, 0, count, count == len(self._state.symbols))
        if count:
            columns = (ids, known_at, event_time, values)
            self._journal.signal_rows(spec.name, spec.fields, *columns, valid_for=spec.valid_for, horizon=spec.horizon)
        return rows


class _Said:
    """What a model said: float64 (n_fields, n) over the symbols of the instant at which it was asked."""

    __slots__ = ("event_time", "known_at", "values")

    def __init__(self, event_time: int, known_at: int, values: Floats) -> None:
        self.event_time, self.known_at, self.values = event_time, known_at, values


class _Model:
    """One model, and what it has said that is not known yet."""

    def __init__(self, source: ModelSource, released: Released) -> None:
        self.source, self.released = source, released
        self.waiting: list[_Said] = []
