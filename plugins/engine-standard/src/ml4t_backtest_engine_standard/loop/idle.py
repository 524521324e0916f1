"""Stretches of instants in which nothing can happen but the delivery of rows."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from ml4t.backtest.core.clock import Chunk
from ml4t_backtest_engine_standard.context.market import Market
from ml4t_backtest_engine_standard.loop.delivery import EVENTS
from ml4t_backtest_engine_standard.loop.stretches import instants_of

if TYPE_CHECKING:
    from ml4t_backtest_engine_standard.loop.instant import Instants

__all__ = ["deliver_idle", "idle_until"]

# Larger batches of young objects wake the garbage collector at every one (measured: twice the time a row).
_STRETCH = 512
_SLICES = 32  # a slice may be worked on for long, and Ctrl-C and progress wait for the end of a stretch


def idle_until(instants: Instants, chunk: Chunk, place: int, special: list[int]) -> int:
    """Return the end of a stretch in which only rows are delivered; ``place`` if there is none."""
    calls, state = instants.delivery.calls, instants.state
    if (calls["on_event"] is None) == (calls["on_slice"] is None) or len(chunk.sources) != 1:
        return place
    spec = chunk.sources[0].rows.spec
    if (
        state.counters[state.WORKING]
        or instants.outbox.count
        or instants.broker.watches_rows
        or instants.judging.exiting
        or instants.continuous is not None
        or not spec.drives
        or spec.kind not in EVENTS
        or (calls["on_event"] and spec.fields != EVENTS[spec.kind][1])
        or chunk.instants[place] <= instants.quiet_until
        or instants.bus.has_subscribers(EVENTS[spec.kind][0])
        or instants.bus.has_publishers
        or instants.actions.unsaid
    ):
        return place
    after = bisect_left(special, place)
    most = place + (_STRETCH if calls["on_event"] else _SLICES)
    stop = min(special[after] if after < len(special) else len(chunk.instants), most)
    return bisect_left(chunk.instants, instants.next_due(), place, stop)


def deliver_idle(instants: Instants, chunk: Chunk, place: int, stop: int, full: list[bool]) -> int:
    """Deliver rows until the end of a stretch or until a callback asks for something; return the place."""
    source, released, bounds, begun = chunk.sources[0], instants.released[0], chunk.sources[0].bounds, place
    state, context, outbox = instants.state, instants.context, instants.outbox
    on_event: Any = instants.delivery.calls["on_event"]
    on_slice = instants.delivery.calls["on_slice"]
    events = instants.delivery.market_events(source.rows, bounds[place], bounds[stop]) if on_event else ()
    every_symbol = (stop - place) * len(state.symbols) == bounds[stop] - bounds[place]
    released.pending_full = every_symbol and all(full[place:stop])
    instants.delivery.doing = "on_event" if on_event else "on_slice"
    try:
        if on_slice is not None:
            while place < stop and not (outbox.count or outbox.woken):
                state.now = state.known_at = chunk.instants[place]
                released.release(source.rows, bounds[place], bounds[place + 1], full[place])
                place += 1
                on_slice(Market(state.now, (released,)), context)
        elif len(events) == stop - place:
            for event in events:
                state.now = state.known_at = event.timestamp
                released.pending.append(event)
                place += 1
                on_event(event, context)
                if outbox.count or outbox.woken:
                    break
        else:
            for batch in instants_of(events, bounds[place : stop + 1]):
                state.now = state.known_at = batch[0].timestamp
                released.pending.extend(batch)
                place += 1
                for event in batch:
                    on_event(event, context)
                if outbox.count or outbox.woken:
                    break
    finally:
        released.catch_up(source.rows, bounds[begun:place], bounds[place])
        instants.rows_done += bounds[place] - bounds[begun]
        instants.clock.move(state.now)
    if outbox.count:
        instants.rounds([(released, source.rows, bounds[place - 1], bounds[place])], None)
    return place
