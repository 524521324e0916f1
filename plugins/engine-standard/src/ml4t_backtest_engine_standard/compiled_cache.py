"""Keep compiled code apart by the sources it was made from.

Numba's cache on disk looks at the file of the function that was compiled and not at the files of the
functions that it calls, so an edited helper would go unnoticed. The folder is therefore named by everything
that goes in.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ml4t.backtest import state
from ml4t.backtest.core.cache import cache_folder, preferred_folder

__all__ = ["prepare_cache"]

_VARIABLE = "NUMBA_CACHE_DIR"
_LIBRARIES = ("numba", "llvmlite", "numpy")
_WORDS = (b"numba", b"jit", b"compiled")


def prepare_cache(contributors: Sequence[str | Path]) -> str | None:
    """Point Numba's cache at a folder named by all sources; call before compiled code is imported.

    Nothing is imported and nothing compiled. A folder that the user named in ``NUMBA_CACHE_DIR`` is left
    alone. The kernel's own sources always count.

    Args:
        contributors: Modules or packages by name (the whole top-level package counts), and folders of local
            code by path (of its Python files those count that speak of compiling).

    Returns:
        A note for the user where compiled code cannot be kept, else None.
    """
    named = os.environ.get(_VARIABLE)
    ours = os.environ.get("ML4T_BACKTEST_COMPILED")
    if named and named != ours:
        return None
    digest = hashlib.sha256()
    for library in _LIBRARIES:
        digest.update(f"{library} {_version(library)}\n".encode())
    for path in _sources(contributors):
        digest.update(f"{path}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    folder = cache_folder("compiled", digest.hexdigest()[:32])
    os.environ[_VARIABLE] = os.environ["ML4T_BACKTEST_COMPILED"] = str(folder)
    if (config := sys.modules.get("numba.core.config")) is not None:  # read when numba was imported
        config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    kept = folder.is_relative_to(preferred_folder())
    return None if kept else f"compiled code goes to {folder}: the user's cache cannot be written"


def _sources(contributors: Sequence[str | Path]) -> list[Path]:
    found = set(Path(state.__file__).parent.rglob("*.py"))
    for contributor in contributors:
        if isinstance(contributor, Path):
            found.update(filter(_speaks_of_compiling, contributor.glob("*.py")))
            continue
        spec = find_spec(contributor.partition(".")[0])  # of a top-level name: imports nothing
        for place in spec.submodule_search_locations or [] if spec else []:
            found.update(Path(place).rglob("*.py"))
        if spec and spec.origin and not spec.submodule_search_locations:
            found.add(Path(spec.origin))
    return sorted(found)


def _speaks_of_compiling(path: Path) -> bool:
    with suppress(OSError):  # nobody can import it either
        source = path.read_bytes()
        return any(word in source for word in _WORDS)
    return False


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
