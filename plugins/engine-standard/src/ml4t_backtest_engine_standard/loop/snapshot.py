"""Snapshots: all columns and states of a run between two instants, in one file that is whole or refused.

Layout: the SHA-256 of the rest (32 bytes), then an ``npz`` archive of arrays (never pickled) with one entry
``meta`` of UTF-8 JSON. To resume, the data is read again and released silently up to the snapshot's instant;
the run's own columns come from the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ml4t.backtest.errors import SnapshotError
from ml4t.backtest.interfaces import Strategy
from ml4t_backtest_engine_standard.loop.instant import Instants

__all__ = ["restore", "save"]

_VERSION = 7
_TABLES = ("orders", "order_events", "fills", "ledger", "equity", "terms")
_ARRAYS = ("instruments", "books", "positions", "accounts")
# Signal rows are noted again when their rows are released again.
_LISTS = ("target_kinds", "target_rows", "position_rows", "recorded", "request_rows")


def save(path: Path, instants: Instants) -> None:
    """Write a snapshot under a temporary name and rename it."""
    state, strategies = instants.state, _strategies(instants)
    arrays: dict[str, Any] = {name: getattr(state, name).rows() for name in _TABLES}
    arrays |= {name: getattr(state, name) for name in _ARRAYS} | {"counters": state.counters}
    for strategy, context in zip(strategies, instants.contexts, strict=True):
        called = [name for name, *_ in context._schedule.specs]
        called += [name for name, *_ in context._schedule.timers.specs()]
        if strange := [name for name in called if not hasattr(strategy, name)]:
            problem = f"a snapshot cannot keep the schedule of {strange[0]}: schedule a method of the strategy"
            raise SnapshotError(problem)
    plain = _Plain(arrays)
    meta = {
        "version": _VERSION,
        "now": state.now,
        "known_at": state.known_at,
        "rows_done": instants.rows_done,
        "inputs": instants.parts.inputs,
        "symbols": state.symbols.names,
        "tags": state.tags,
        "client_ids": state.client_ids,
        "strategies": [
            {
                "state": plain.pack(dict(strategy.get_state())),
                "rng": plain.pack(context.rng.bit_generator.state),
                "bases": context._bases,
                "declared": context._declared,
                "schedules": context._schedule.specs,
                "timers": context._schedule.timers.specs(),
                "baskets": context._sizer.baskets,
            }
            for strategy, context in zip(strategies, instants.contexts, strict=True)
        ],
        "journal": plain.pack({name: getattr(instants.journal, name) for name in _LISTS}),
        "broker": plain.pack(instants.broker.get_state()),
        "portfolio": plain.pack(instants.portfolio.get_state()),
        "seen": (instants.delivery.fills_seen, instants.delivery.events_seen),
        "depths": {each.spec.name: each.depth for each in instants.released},
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    body = buffer.getvalue()
    temporary = path.with_name(path.name + ".partial")
    temporary.write_bytes(hashlib.sha256(body).digest() + body)
    os.replace(temporary, path)


def restore(path: Path, instants: Instants, *, fast: bool) -> Iterator[int]:
    """Bring a freshly wired run to a snapshot's instant, then yield the instants after it.

    Raises:
        SnapshotError: The file is torn, of another version, or does not fit the data.
    """
    arrays, meta = _read(path)
    state, strategies = instants.state, _strategies(instants)
    plain = _Plain(arrays)
    if meta["inputs"] != instants.parts.inputs:
        raise SnapshotError(f"{path}: the data is not what the snapshot's run read; start the run anew")
    for released in instants.released:
        released.keep(meta["depths"].get(released.spec.name, 1))
    if len(meta["strategies"]) != len(strategies):
        raise SnapshotError(f"{path}: it is of {len(meta['strategies'])} strategies, the run has {len(strategies)}")
    members = list(zip(strategies, instants.contexts, meta["strategies"], strict=True))
    for strategy, context, kept in members:
        context._bases.update(kept["bases"])
        context._declared.update(kept["declared"])
        for name, rule, at, tz in kept["schedules"]:
            context._schedule.add(getattr(strategy, name), rule, at, tz)
        for name, due, every in kept["timers"]:
            context._schedule.timers.restore(getattr(strategy, name), due, every)
            instants.outbox.woken = True
    instants.start, instants.quiet_until = meta["now"] + 1, meta["now"]
    steps = instants.run(fast=fast, after=meta["now"])
    next(steps, None)
    if state.symbols.names != meta["symbols"] or instants.rows_done != meta["rows_done"]:
        raise SnapshotError(f"{path}: the data up to the snapshot is not what the snapshot's run saw")
    for name in _TABLES:
        getattr(state, name).restore(arrays[name])
    for name in _ARRAYS:
        getattr(state, name)[:] = arrays[name]
    state.counters[:] = arrays["counters"]
    state.now, state.known_at, state.tags[:] = meta["now"], meta["known_at"], meta["tags"]
    state.client_ids[:] = meta["client_ids"]
    instants.delivery.fills_seen, instants.delivery.events_seen = meta["seen"]
    for name, value in plain.unpack(meta["journal"]).items():
        setattr(instants.journal, name, value)
    for strategy, context, kept in members:
        context._sizer.baskets = kept["baskets"]
        strategy.set_state(plain.unpack(kept["state"]))
        context.rng.bit_generator.state = plain.unpack(kept["rng"])
    instants.broker.set_state(plain.unpack(meta["broker"]))
    instants.portfolio.set_state(plain.unpack(meta["portfolio"]))
    yield from steps


def _strategies(instants: Instants) -> list[Strategy]:
    return [book.strategy for book in instants.parts.books] or [instants.strategy]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"{path}: the snapshot cannot be read: {error.strerror}") from None
    if len(raw) < 32 or hashlib.sha256(raw[32:]).digest() != raw[:32]:
        raise SnapshotError(f"{path}: the snapshot is torn or was changed; use an older one")
    with np.load(io.BytesIO(raw[32:]), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    meta = json.loads(arrays.pop("meta").tobytes())
    if meta["version"] != _VERSION:
        raise SnapshotError(f"{path}: snapshot version {meta['version']}, this kernel reads {_VERSION}")
    return arrays, meta


class _Plain:
    """Packs nested plain values as JSON, with arrays put aside by number; nothing is pickled."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        self._arrays = arrays
        self._count = 0

    def pack(self, value: Any) -> Any:
        """Return what JSON can hold."""
        if isinstance(value, np.ndarray):
            if value.dtype == object:
                raise SnapshotError("a snapshot cannot keep arrays of objects: give get_state plain arrays")
            self._count += 1
            self._arrays[f"value{self._count}"] = value
            return {"array": f"value{self._count}"}
        if isinstance(value, np.generic):
            return {"array": self.pack(np.array(value))["array"], "scalar": True}
        if isinstance(value, dict):
            return {"dict": [[self.pack(key), self.pack(item)] for key, item in value.items()]}
        if isinstance(value, list | tuple | set | frozenset):
            kind = type(value).__name__
            items = sorted(value) if isinstance(value, set | frozenset) else value
            return {"sequence": kind, "items": [self.pack(item) for item in items]}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise SnapshotError(
            f"a snapshot cannot keep a {type(value).__name__}: return plain values and arrays from get_state"
        )

    def unpack(self, value: Any) -> Any:
        """Return what ``pack`` was given."""
        if not isinstance(value, dict):
            return value
        if "array" in value:
            array = self._arrays[value["array"]]
            return array[()] if value.get("scalar") else array
        if "dict" in value:
            return {self.unpack(key): self.unpack(item) for key, item in value["dict"]}
        kinds: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
        return kinds[value["sequence"]](self.unpack(item) for item in value["items"])
