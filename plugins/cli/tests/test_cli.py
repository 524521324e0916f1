"""Rules of the command that hold without a run."""

import re
import subprocess
import sys

import pytest

from ml4t.backtest.hookspecs import Manifest, hookimpl
from ml4t.backtest.plugins import PluginHost
from ml4t_backtest_cli.main import DONE, INPUT, main
from ml4t_backtest_cli.running import _reporters, free_folder


def test_plugins_list_shows_this_plugin_and_imports_no_component(capsys):
    """The list comes from the index; not even the numeric libraries are loaded."""
    code = (
        "import sys; from ml4t_backtest_cli.main import main; code = main(['plugins', 'list']);"
        "heavy = {'numpy', 'polars', 'pandas', 'numba', 'structlog'} & set(sys.modules);"
        "ours = [m.split('.')[0] for m in sys.modules if m.startswith('ml4t_backtest_')];"
        "component = set(ours) - {'ml4t_backtest_cli'};"
        "sys.exit(f'{code} {heavy} {component}' if code or heavy or component else 0)"
    )
    assert DONE == main(["plugins", "list"])
    assert "cli" in capsys.readouterr().out
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (0, "") == (done.returncode, done.stderr)


def test_plugins_show_gives_settings_with_defaults(capsys):
    """Settings are documented from the component's own configuration."""
    assert DONE == main(["plugins", "show", "reporter-parquet"])
    out = capsys.readouterr().out
    assert "reporter parquet" in out
    assert "overwrite: bool = false" in out


def test_plugins_show_takes_the_name_of_a_component(capsys):
    """What a run file calls it, with every plugin that offers it, and no other component of theirs."""
    assert DONE == main(["plugins", "show", "none"])
    out = capsys.readouterr().out
    assert ["commission-standard", "slippage-standard"] == re.findall(r"^(.*-standard): ", out, re.MULTILINE)
    assert ["commission none", "slippage none"] == re.findall(r"^(?:commission|slippage) .*$", out, re.MULTILINE)


def test_settings_are_shown_as_a_run_file_has_them(capsys):
    """TOML, not Python."""
    assert DONE == main(["plugins", "show", "feed-csv"])
    out = capsys.readouterr().out
    assert "symbol_from: one of 'column', 'filename' = \"column\"" in out
    assert "sort: bool = false" in out
    assert "symbols: list of str = []" in out
    assert "timezone: str = none" in out
    assert "``" not in out


def test_unknown_plugin_is_bad_input_with_the_nearest_name(capsys):
    """One line, no traceback."""
    assert INPUT == main(["plugins", "show", "reporter-parket"])
    err = capsys.readouterr().err
    assert 'error: no plugin or component "reporter-parket" is installed: did you mean "reporter-parquet"\n' == err


def test_traceback_is_shown_on_demand(capsys):
    """``--traceback`` is for those who look for the cause in the code."""
    assert INPUT == main(["plugins", "show", "nothing-like-it", "--traceback"])
    assert "Traceback" in capsys.readouterr().err


def test_unknown_command_is_bad_input(capsys):
    """A command that nobody offers ends with exit code 2."""
    assert INPUT == main(["bogus"])
    assert "invalid choice: 'bogus'" in capsys.readouterr().err


def test_help_is_no_error(capsys):
    """Exit codes are part of the help."""
    assert DONE == main(["--help"])
    assert "130 interrupted" in capsys.readouterr().out


def test_demo_can_be_copied_but_never_over_files(tmp_path, capsys):
    """A user starts from the demo's files."""
    assert DONE == main(["demo", "--copy", str(tmp_path / "mine")])
    assert ["demo.toml", "demo_strategy.py"] == sorted(path.name for path in (tmp_path / "mine").iterdir())
    capsys.readouterr()
    assert INPUT == main(["demo", "--copy", str(tmp_path / "mine")])
    assert "would be overwritten" in capsys.readouterr().err


def test_run_folder_is_new_and_stays_below_its_parent(tmp_path):
    """A name that is a path cannot lead elsewhere; results are never overwritten."""
    assert tmp_path / "top-bottom" == free_folder(tmp_path, "top-bottom")
    (tmp_path / "top-bottom").mkdir()
    assert tmp_path / "top-bottom" == free_folder(tmp_path, "top-bottom")
    (tmp_path / "top-bottom" / "manifest.json").write_text("{}")
    assert tmp_path / "top-bottom-2" == free_folder(tmp_path, "top-bottom")
    assert tmp_path / "etc-passwd" == free_folder(tmp_path, "../../etc/passwd")
    assert tmp_path / "run" == free_folder(tmp_path, "..")


@pytest.mark.parametrize(
    ("configured", "options", "overrides"),
    [
        (None, {}, ['reporter=[{use="console"}, {use="parquet"}]']),
        (None, {"quiet": True}, ['reporter=[{use="parquet"}]']),
        (None, {"disable": ["reporter-parquet"]}, ['reporter=[{use="console"}]']),
        ([{"use": "parquet"}], {}, []),
        (
            [{"use": "parquet"}, {"use": "console"}],
            {"quiet": True},
            ["reporter.1.progress=none", "reporter.1.header=false", "reporter.1.summary=false"],
        ),
    ],
)
def test_reporters_are_console_and_parquet_unless_the_run_file_names_others(configured, options, overrides):
    """``--quiet`` silences the console and leaves the files."""
    given = {"disable": [], "only": None, "quiet": False} | options
    assert overrides == _reporters(configured, **given)


class Greeting:
    """A plugin of somebody else."""

    MANIFEST = Manifest(api=1, name="cli-greeting", summary="say hello")

    @hookimpl
    def ml4t_add_cli(self, subcommands):
        hello = subcommands.add_parser("hello")
        hello.set_defaults(function=lambda arguments: print("hello") or 0)


def test_plugin_adds_a_command(monkeypatch, capsys):
    """A subcommand of a third party is a command like ours."""
    host = PluginHost.only(Greeting())
    monkeypatch.setattr("ml4t.backtest.plugins.PluginHost", lambda: host)
    assert DONE == main(["hello"])
    assert "hello\n" == capsys.readouterr().out


def test_plugin_that_fails_to_add_its_command_is_named_and_harms_no_other(monkeypatch, capsys):
    """Our commands work whatever a plugin does."""

    class Broken(Greeting):
        @hookimpl
        def ml4t_add_cli(self, subcommands):
            raise RuntimeError("greeting is broken")

    host = PluginHost.only(Broken())
    monkeypatch.setattr("ml4t.backtest.plugins.PluginHost", lambda: host)
    assert DONE == main(["--help"])
    assert "warning: a plugin could not add its commands: greeting is broken" in capsys.readouterr().err
