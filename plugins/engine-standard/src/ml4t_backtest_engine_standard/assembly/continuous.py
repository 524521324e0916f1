"""Futures as a series: which contracts follow each other, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ml4t_backtest_engine_standard.assembly.config import Errors
from ml4t_backtest_engine_standard.assembly.instruments import Instrument

__all__ = ["Continuous", "read_continuous"]


@dataclass(frozen=True, kw_only=True)
class Continuous:
    """One continuous series of futures.

    Attributes:
        root: The series; the contracts are the instruments with this ``root``.
        roll: What picks the contract: ``calendar`` (default) or ``volume``.
        days: With ``calendar``: more than so many sessions are left until it expires. Default 5.
        adjust: How earlier contracts are brought to the present one: ``difference`` (default), ``ratio`` or ``none``.
    """

    root: str
    roll: Literal["calendar", "volume"] = "calendar"
    days: int = 5
    adjust: Literal["difference", "ratio", "none"] = "difference"

    def __post_init__(self) -> None:
        """Refuse what no series could be."""
        if not self.root:
            raise ValueError("root is empty: name the series")
        if self.days < 0:
            raise ValueError(f"days was {self.days}, expected at least 0")


def read_continuous(values: Sequence[Any], instruments: Sequence[Instrument], errors: Errors) -> list[Continuous]:
    """Return the series of a run; what is wrong is noted among the errors.

    Args:
        values: The setting, a table of keys each.
        instruments: All entries of instruments.
        errors: Takes every mistake.
    """
    out: list[Continuous] = []
    for place, value in enumerate(values):
        where = f"continuous.{place}"
        row = errors.config(Continuous, value, where=where, owner="")
        if row is None:
            continue
        contracts = [each for each in instruments if each.root == row.root]
        without = [each.symbol for each in contracts if each.expires is None]
        if row.root in [each.root for each in out]:
            errors.add(where, f"gives root {row.root!r} a second time: remove one")
        elif not contracts:
            errors.add(f"{where}.root", f"is {row.root!r}, which no instrument has: give its contracts this root")
        elif without:
            errors.add(
                f"{where}.root", f"is {row.root!r}, whose contract {without[0]} has no expires: give its last session"
            )
        else:
            out.append(row)
    return out
