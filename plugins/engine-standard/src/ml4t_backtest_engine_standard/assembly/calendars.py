"""The sessions of the calendars that a run names, each looked up once."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from ml4t.backtest.core.sessions import EPOCH_ORDINAL, AlwaysOpen, SessionTable
from ml4t.backtest.errors import DataError, InputError

if TYPE_CHECKING:
    from ml4t_backtest_engine_standard.assembly.building import Builder

__all__ = ["Calendars", "build_calendar"]


class Calendars:
    """Gives sources the sessions that their labels name.

    Args:
        builder: Makes the calendars.

    Attributes:
        run: Sessions of the run's calendar; set once its dates are known.
        tables: Sessions of the other calendars asked for so far, by name.
    """

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self.run: SessionTable | None = None
        self.tables: dict[str, SessionTable] = {}

    def find(self, name: str) -> SessionTable:
        """Return the sessions of a calendar in the years that the run's calendar covers.

        Args:
            name: As a run file gives it; empty for the run's own.

        Raises:
            DataError: No such calendar is known, or it does not know these years.
        """
        run = self.run
        assert run is not None, "sources are opened once the run's sessions are known"
        if name in ("", run.name):
            return run
        if name not in self.tables:
            calendar = build_calendar(self._builder, name, "calendar")
            if calendar is None:
                raise DataError(f'calendar "{name}" cannot be made; name one that [clock] calendar takes')
            days = (date.fromordinal(EPOCH_ORDINAL + int(run.label[place])) for place in (0, -1))
            rows = calendar.sessions(*days)
            self.tables[name] = SessionTable(rows, timezone=calendar.timezone, name=name)
        return self.tables[name]

    def check(self, name: str, origin: str) -> None:
        """Look a source's calendar up.

        Raises:
            DataError: It is not known; names the source.
        """
        try:
            self.find(name)
        except InputError as error:
            raise DataError(f"{origin}: calendar: {error}") from error


def build_calendar(builder: Builder, value: Any, where: str) -> Any:
    """Return the calendar that a name, a table or an instance stands for; None after an error, which is noted."""
    if value == "24/7":
        return AlwaysOpen()
    if isinstance(value, str):
        known = builder.host.components.names("calendar")
        value = {"use": value} if value in known else {"use": "market", "name": value}
    return builder.build("calendar", value, where)
