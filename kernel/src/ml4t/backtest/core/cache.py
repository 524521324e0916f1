"""Where things are kept that can be made again."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["cache_folder", "preferred_folder"]

_NAME = "ml4t-backtest"


def cache_folder(*parts: str) -> Path:
    """Make and return a folder of the user's cache.

    ``$ML4T_BACKTEST_CACHE`` if set, else ``$XDG_CACHE_HOME/ml4t-backtest``, else the platform's place
    (``~/.cache/ml4t-backtest``, ``~/Library/Caches/ml4t-backtest``, ``%LOCALAPPDATA%/ml4t-backtest``).

    Args:
        *parts: Names of folders inside it, from the outermost.

    Returns:
        An existing, writable folder; a temporary one where the cache cannot be written.
    """
    folder = preferred_folder().joinpath(*parts)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    folder = _temporary().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def preferred_folder() -> Path:
    """Return where the user's cache belongs, whether it can be written or not."""
    if own := os.environ.get("ML4T_BACKTEST_CACHE"):
        return Path(os.path.expanduser(own)).absolute()
    if (shared := os.environ.get("XDG_CACHE_HOME")) and os.path.isabs(shared):
        return Path(shared, _NAME)
    places = {"darwin": "~/Library/Caches", "win32": os.environ.get("LOCALAPPDATA", "~")}
    return Path(os.path.expanduser(places.get(sys.platform, "~/.cache")), _NAME).absolute()


def _temporary() -> Path:
    # What is cached gets run (compiled code, module names), so a folder of somebody else is not taken.
    user = getattr(os, "getuid", lambda: 0)()
    folder = Path(tempfile.gettempdir(), f"{_NAME}-{user}")
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == user:
        return folder
    return Path(tempfile.mkdtemp(prefix=f"{_NAME}-"))
