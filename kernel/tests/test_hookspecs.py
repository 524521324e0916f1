import inspect
import re
from pathlib import Path

import pytest
from pluggy import PluginManager

from ml4t.backtest import hookspecs

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "hooks.md"
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("ml4t_"))


def test_every_hook_is_declared_to_pluggy():
    """A function that was not marked would be offered to nobody."""
    manager = PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)

    assert HOOKS == sorted(name for name in vars(manager.hook) if name.startswith("ml4t_"))


def test_every_registration_hook_has_a_kind():
    """Kinds are what run files and ComponentRegistry.resolve speak of."""
    assert [name for name in HOOKS if name.startswith("ml4t_register_")] == sorted(hookspecs.KIND_OF_HOOK)


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_typed_and_documented(name):
    """The specification says when it is called; each argument is described."""
    hook = getattr(hookspecs, name)
    signature = inspect.signature(hook)

    assert inspect.Signature.empty is not signature.return_annotation
    assert set(signature.parameters) == set(re.findall(r"^ {4}(\w+): ", inspect.getdoc(hook), re.MULTILINE))


@pytest.mark.skipif(not REFERENCE.exists(), reason="the documents are not beside the kernel")
def test_the_reference_lists_every_hook_with_its_arguments():
    """docs/reference/hooks.md names what the code declares, no more and no less."""
    declared = {name: list(inspect.signature(getattr(hookspecs, name)).parameters) for name in HOOKS}
    listed = {
        name: re.findall(r"\w+", arguments)
        for name, arguments in re.findall(r"^\| `(ml4t_\w+)\(([^)]*)\)`", REFERENCE.read_text(), re.MULTILINE)
    }

    assert declared == listed
