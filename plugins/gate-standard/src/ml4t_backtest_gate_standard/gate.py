"""The gate that sources are given."""

from typing import TYPE_CHECKING

from ml4t_backtest_gate_standard.columns import Arrangement
from ml4t_backtest_gate_standard.files import digest_files, find_files, partitions, place_in
from ml4t_backtest_gate_standard.frames import copy_frame, digest_frame, take_frame
from ml4t_backtest_gate_standard.rows import open_rows

if TYPE_CHECKING:
    from ml4t.backtest.interfaces import Gate

__all__ = ["StandardGate"]


class StandardGate:
    """Columns mapped by name, every row checked, stamps settled, rows in time order; it keeps nothing."""

    open_rows = staticmethod(open_rows)
    arrange = staticmethod(Arrangement)
    take_frame = staticmethod(take_frame)
    copy_frame = staticmethod(copy_frame)
    digest_frame = staticmethod(digest_frame)
    find_files = staticmethod(find_files)
    partitions = staticmethod(partitions)
    place_in = staticmethod(place_in)
    digest_files = staticmethod(digest_files)


if TYPE_CHECKING:
    _keeps_the_contract: Gate = StandardGate()
