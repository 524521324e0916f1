"""Which component a name in a run file means, and whose it is."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml4t.backtest.config import nearest
from ml4t.backtest.errors import PluginError, UnknownComponent

__all__ = ["ComponentRef", "ComponentRegistry"]

# Components of distributions that are not called after them; the rest follow the naming convention.
_FIRST_PARTY = {
    "broker-simulation": ("broker", "paper"),
    "commission-standard": ("commission", "none per-share per-contract percent per-trade tiered"),
    "data-sample": ("feed", "sample"),
    "engine-standard": ("engine", "standard"),
    "gate-standard": ("gate", "standard"),
    "fill-standard": ("fill", "next-open next-close same-close"),
    "impact-standard": ("impact", "linear square-root almgren-chriss"),
    "risk-standard": ("risk", "max-position"),
    "table-standard": ("table", "parquet csv frame"),
    "slippage-standard": ("slippage", "none bps fixed spread volume-share"),
}
_MARK = "__ml4t_run_folder__"


@dataclass(frozen=True)
class ComponentRef:
    """A component that was found but not necessarily imported.

    Attributes:
        kind: ``feed``, ``signal``, ``strategy``, …
        name: What the run file calls it.
        path: ``"module:Class"``.
        plugin: Name of the plugin that registered it; empty for a local class.
        distribution: The distribution it came with; empty for a local class.
        version: Version of that distribution.
        base_dir: Folder that a local module is looked up in.
        target: The class or instance itself, where it was given in Python.
    """

    kind: str
    name: str
    path: str
    plugin: str = ""
    distribution: str = ""
    version: str = ""
    base_dir: Path | None = None
    target: object = field(default=None, compare=False)

    @property
    def owner(self) -> str:
        """Name the component and where it came from, for errors and reports."""
        source = f" of {self.distribution} {self.version}" if self.distribution else ""
        return f'{self.kind} "{self.name}"{source}'

    def load(self) -> Any:  # a class, an instance, or what a decorator made of a function
        """Import the component.

        Raises:
            PluginError: The module cannot be imported or has no such name; names the owner.
        """
        if self.target is not None:
            return self.target
        module_name, _, name = self.path.partition(":")
        try:
            with _importable_beside(self.base_dir):
                found: Any = importlib.import_module(module_name)
            for part in name.split("."):
                found = getattr(found, part)
        except (Exception, SystemExit) as error:
            looked = f" (looked in {self.base_dir})" if self.base_dir else ""
            problem = f"cannot be loaded from {self.path}{looked}: {type(error).__name__}: {error}"
            raise PluginError(f"{self.owner} {problem}") from error
        return found


class ComponentRegistry:
    """Every component that the plugins of one host offer.

    Args:
        explain: Returns a hint for a kind and name that nobody offers.
    """

    def __init__(self, explain: Callable[[str, str], str] = lambda kind, name: "") -> None:
        self._offers: dict[tuple[str, str], list[ComponentRef]] = {}
        self._explain = explain

    def add(self, component: ComponentRef) -> None:
        """Register a component; a name that is offered twice is an error once it is used."""
        self._offers.setdefault((component.kind, component.name), []).append(component)

    def __iter__(self) -> Iterator[ComponentRef]:
        return (offers[0] for _, offers in sorted(self._offers.items()))

    def names(self, kind: str) -> list[str]:
        """Return the names offered for a kind, sorted."""
        return sorted(name for offered, name in self._offers if offered == kind)

    def conflicts(self) -> list[str]:
        """Return one sentence per name that more than one plugin offers."""
        return [_conflict(offers) for _, offers in sorted(self._offers.items()) if len(offers) > 1]

    def resolve(self, kind: str, use: object, base_dir: Path | None = None) -> ComponentRef:
        """Find the component that is meant.

        Args:
            kind: ``feed``, ``signal``, ``strategy``, …
            use: A registered name; ``"module:Class"``, looked up in ``base_dir`` first; or a
                class or an instance.
            base_dir: Folder of the run file.

        Raises:
            UnknownComponent: Nobody offers it; says what is near and what to install.
            PluginError: More than one plugin offers it.
        """
        if not isinstance(use, str):
            cls = use if isinstance(use, type) else type(use)
            return ComponentRef(kind, cls.__name__, f"{cls.__module__}:{cls.__qualname__}", target=use)
        if ":" in use:
            return ComponentRef(kind, use, use, base_dir=base_dir or Path.cwd())
        offers = self._offers.get((kind, use), [])
        if len(offers) > 1:
            raise PluginError(_conflict(offers))
        if not offers:
            remedy = self._explain(kind, use) or _remedy(kind, use, self.names(kind))
            raise UnknownComponent(f'no {kind} is called "{use}": {remedy}')
        return offers[0]


def _remedy(kind: str, name: str, installed: list[str]) -> str:
    for distribution, (offered_kind, names) in _FIRST_PARTY.items():
        if kind == offered_kind and name in names.split():
            return f"it comes with ml4t-backtest-{distribution}: pip install ml4t-backtest-{distribution}"
    others = f"installed are {', '.join(installed) or 'none'}; or install it: pip install ml4t-backtest-{kind}-{name}"
    return nearest(name, installed) or others


def _conflict(offers: Iterable[ComponentRef]) -> str:
    offers = sorted(offers, key=lambda offer: offer.plugin)
    owners = " and ".join(f"{offer.distribution} {offer.version}" for offer in offers)
    names = " or ".join(f'"{offer.plugin}"' for offer in offers)
    what = f'{offers[0].kind} "{offers[0].name}"'
    return f"{what} is offered by {owners}: disable {names} in [plugins], or uninstall one"


@contextmanager
def _importable_beside(folder: Path | None) -> Iterator[None]:
    """Put a run file's folder first on the import path, for one import.

    Modules of the same name that came from elsewhere (the folder of another run, the standard
    library) step aside meanwhile; the former are forgotten, the latter come back.
    """
    if folder is None:
        yield
        return
    places = (*folder.glob("[!_]*.py"), *(inside.parent for inside in folder.glob("*/__init__.py")))
    own = {place.stem for place in places}
    aside = {
        name: module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in own and not str(getattr(module, "__file__", "")).startswith(str(folder))
    }
    for name in aside:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in own & set(sys.modules):
            setattr(sys.modules[name], _MARK, True)
        sys.modules.update({name: module for name, module in aside.items() if not hasattr(module, _MARK)})
