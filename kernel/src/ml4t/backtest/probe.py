"""Ask plugin modules what they offer; run as ``python -m ml4t.backtest.probe``, away from any run.

Its argument is the number of seconds that each may take. Standard input holds a JSON list of
[entry-point name, module, attribute]; standard output gets one JSON line per plugin, as soon as it
has answered. A plugin that takes too long ends the process, after a line that says so.
"""

import contextlib
import faulthandler
import importlib
import io
import json
import os
import sys
import threading
from typing import Any

from pluggy import PluginManager

from ml4t.backtest import hookspecs

__all__ = ["examine", "main"]


def examine(name: str, plugin: object) -> dict[str, Any]:
    """Check a plugin against the contract and return what it offers.

    Args:
        name: Name of its entry point.
        plugin: The plugin module, or an object with the same attributes.

    Returns:
        ``summary``, ``components`` (kind -> component name -> ``"module:Class"``) and ``hooks``.

    Raises:
        ValueError: The plugin breaks the contract.
        PluginValidationError: A hook is misspelt or takes arguments that it is not given.
    """
    manifest = getattr(plugin, "MANIFEST", None)
    if not isinstance(manifest, hookspecs.Manifest):
        raise ValueError("has no MANIFEST = Manifest(...)")
    if manifest.api != hookspecs.PLUGIN_API:
        raise ValueError(f"written for plugin API {manifest.api}, this kernel offers {hookspecs.PLUGIN_API}")
    if manifest.name != name:
        raise ValueError(f"its MANIFEST says {manifest.name!r}, its entry point {name!r}")
    manager = PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name)
    manager.check_pending()
    components: dict[str, dict[str, str]] = {}
    hooks = sorted(caller.name for caller in manager.get_hookcallers(plugin) or ())
    for hook in set(hooks) & set(hookspecs.KIND_OF_HOOK):
        for offered in getattr(manager.hook, hook)():
            if not all(isinstance(path, str) and ":" in path for path in offered.values()):
                raise ValueError(f'{hook} returned {offered!r}, expected names -> "module:Class"')
            components[hookspecs.KIND_OF_HOOK[hook]] = dict(offered)
    return {"summary": manifest.summary, "components": components, "hooks": hooks}


def explain(error: BaseException) -> str:
    """Return one line that says what a plugin did wrong."""
    if isinstance(error, SystemExit):
        return f"tried to end the process: sys.exit({error.code!r})"
    kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
    return " ".join(f"{kind}{error}".split())


def main() -> None:
    """Answer for every plugin on standard input."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    limit = float(sys.argv[1])

    def answer(report: dict[str, Any]) -> None:
        print(json.dumps(report), file=channel, flush=True)

    def give_up() -> None:
        reason = f"had not been imported after {limit:g} s; ml4t-backtest plugins doctor asks again"
        answer({"failure": reason, "slow": True})
        os._exit(0)

    for name, module, attribute in json.load(sys.stdin):
        printed = io.StringIO()
        watch = threading.Timer(limit, give_up)
        watch.start()
        # The timer cannot run while foreign code holds the interpreter; this one can.
        faulthandler.dump_traceback_later(limit + 1, exit=True, file=2)
        try:
            with contextlib.redirect_stdout(printed):
                plugin = importlib.import_module(module)
                report = examine(name, getattr(plugin, attribute) if attribute else plugin)
            if printed.getvalue():
                raise ValueError(f"prints when it is imported: {printed.getvalue()[:80]!r}")
        except BaseException as error:
            report = {"failure": explain(error)}
        watch.cancel()
        answer(report)
    os._exit(0)


if __name__ == "__main__":
    main()
