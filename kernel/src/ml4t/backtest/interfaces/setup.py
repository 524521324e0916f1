"""What every component is given beside its config when it is built."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from ml4t.backtest.core.sessions import SessionTable
    from ml4t.backtest.interfaces.gate import Gate

__all__ = ["Setup"]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Surroundings of one component.

    Attributes:
        name: The component's name in this run, unique per kind (a second Parquet feed is ``parquet-2``).
        seed: The run's seed.
        base_dir: Folder against which relative paths are read: that of the run file, or the current one.
        gate: Row checks that all sources share; sources have it, other components do not.
        build: For sources made of others: returns the source that a table stands for, given its kind, the table and
            where it was written; None after an error, which is reported with the run's others.
        sessions: Returns the sessions of a calendar by name, of the run's for an empty one; sources may ask in
            ``open``.
    """

    name: str
    seed: int = 0
    base_dir: Path = field(default_factory=Path)
    gate: Gate = field(default=None, repr=False, compare=False)  # type: ignore[assignment]  # a source asks, and has it
    build: Callable[[str, Any, str], Any] = field(default=None, repr=False, compare=False)  # type: ignore[assignment]  # likewise
    sessions: Callable[[str], SessionTable] = field(default=None, repr=False, compare=False)  # type: ignore[assignment]  # likewise

    @property
    def rng(self) -> np.random.Generator:
        """A generator derived from (run seed, name), so that adding a component shifts no other's stream."""
        import numpy as np

        digest = hashlib.sha256(self.name.encode()).digest()
        return np.random.default_rng([self.seed, int.from_bytes(digest[:8], "little")])

    @property
    def log(self) -> Any:
        """A structlog logger bound with the component's name."""
        import structlog

        return structlog.get_logger().bind(component=self.name)

    def path(self, text: str | Path) -> Path:
        """Resolve a path from a config against ``base_dir``."""
        path = Path(text).expanduser()
        return path if path.is_absolute() else self.base_dir / path
