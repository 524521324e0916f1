"""The door to compatibility layers: classes that other distributions offer under this module.

A distribution offers a class by an entry point in group ``ml4t.backtest.compat``, as in
``ZiplineAlgorithm = "ml4t_backtest_compat_zipline:ZiplineAlgorithm"``. Type checkers see the
first-party classes through ``compat.pyi``; other names are ``Any`` to them.
"""

from importlib.metadata import EntryPoint, entry_points

_FIRST_PARTY = {"BacktraderStrategy": "backtrader", "ZiplineAlgorithm": "zipline"}


def _entries() -> list[EntryPoint]:
    return list(entry_points(group="ml4t.backtest.compat"))


def __getattr__(name: str) -> object:
    # Python swallows the message of an AttributeError in "from … import …", not that of an
    # ImportError; hasattr and inspect probe names with an underscore and want the former.
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = [entry for entry in _entries() if entry.name == name]
    if len(found) > 1:
        owners = sorted(f"{entry.dist.name} {entry.dist.version}" for entry in found if entry.dist)
        raise ImportError(f"{name} is offered by {' and '.join(owners)}: uninstall one of them")
    if found:
        return found[0].load()
    if name in _FIRST_PARTY:
        raise ImportError(f"{name} is not installed: pip install ml4t-backtest-compat-{_FIRST_PARTY[name]}")
    known = ", ".join(sorted({*_FIRST_PARTY, *(entry.name for entry in _entries())}))
    raise ImportError(f"no installed distribution offers {name} for {__name__}; known are {known}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(entry.name for entry in _entries())})
