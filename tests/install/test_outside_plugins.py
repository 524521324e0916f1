"""A distribution made outside the repository is installed, used, removed, and cannot do harm when broken."""

import hashlib
import os
import shutil
import site
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "ml4t-backtest-reporter-lines"
version = "0.2.0"
requires-python = ">=3.11"
dependencies = ["ml4t-backtest-kernel>=0.1,<1"]

[project.entry-points."ml4t.backtest"]
reporter-lines = "ml4t_backtest_reporter_lines.plugin"
"""
PLUGIN = """\
from ml4t.backtest.hookspecs import Manifest, hookimpl

MANIFEST = Manifest(api=1, name="{name}", summary="write the final equity on one line")


@hookimpl
def ml4t_register_reporters():
    return {{"{component}": "ml4t_backtest_reporter_lines.reporter:LinesReporter"}}
"""
REPORTER = '''\
"""Write the final equity on one line."""

from dataclasses import dataclass

from ml4t.backtest.interfaces import Reporter


class LinesReporter(Reporter):
    """One line in one file."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        file: str = "lines.txt"

    def __init__(self, config, setup):
        self.file = setup.path(config.file)

    def finished(self, result, out):
        self.file.write_text(f"{result.status} {result.final_equity:.2f}\\n")
'''
STRATEGY = """\
from ml4t.backtest import Strategy


class BuyOnce(Strategy):
    def on_slice(self, market, context):
        if not context.position("A").quantity:
            context.order("A", 10)
"""
RUN_FILE = """\
schema = 1
name = "outside"
seed = 1
capital = 1000

[[feed]]
use = "csv"
path = "prices.csv"
bar = "1d"

[strategy]
use = "buy_once:BuyOnce"

[[reporter]]
use = "lines"
"""
PRICES = "symbol,timestamp,open,high,low,close,volume\n" + "".join(
    f"A,2024-01-0{day},{price},{price},{price},{price},100\n" for day, price in ((2, 10), (3, 11), (4, 12))
)
RUN = "import sys\nfrom ml4t_backtest_cli.main import main\nsys.exit(main(sys.argv[1:]))"

MANIFEST = PLUGIN.split("@hookimpl")[0]
BROKEN = {
    "import-error": ("import nonesuch_library\n", "No module named 'nonesuch_library'"),
    "sys-exit": ("import sys\nsys.exit(4)\n", "sys.exit(4)"),
    "sleeps": ("import time\ntime.sleep(5)\n", "had not been imported after 3 s"),
    "wrong-api": (MANIFEST.replace("api=1", "api=2"), "written for plugin API 2, this kernel offers 1"),
    "misspelt": (
        PLUGIN.replace("ml4t_register_reporters", "ml4t_register_reportes"),
        "ml4t_register_reportes",
    ),
}


class Environment:
    """A virtual environment that sees what this one sees, and into which pip installs wheels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        self.python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        # addsitedir, unlike a plain path, also follows the editable installs of that folder.
        shown = self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
        lines = [f"import site; site.addsitedir({place!r})\n" for place in site.getsitepackages()]
        Path(shown.stdout.strip(), "beneath.pth").write_text("".join(lines))

    def run(self, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run the environment's Python."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ML4T_"))}
        return subprocess.run(
            [self.python, *map(str, arguments)],
            cwd=cwd,
            env={**kept, "ML4T_BACKTEST_CACHE": str(self.folder / "cache")},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def pip(self, *arguments: object) -> None:
        """Run pip, which must succeed."""
        quiet = ("--disable-pip-version-check", "-q")
        done = self.run("-m", "pip", *arguments, *quiet, cwd=self.folder)
        assert 0 == done.returncode, done.stderr

    def install(self, *wheels: Path) -> None:
        """Install wheels and nothing else."""
        self.pip("install", "--no-index", "--no-deps", *wheels)


def build(folder: Path, environment: Environment) -> Path:
    """Build the reporter as its author would: a project file, a package, a build front end."""
    package = folder / "src" / "ml4t_backtest_reporter_lines"
    package.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text(PLUGIN.format(name="reporter-lines", component="lines"))
    (package / "reporter.py").write_text(REPORTER)
    target = folder / "dist"
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        subprocess.run([uv, "build", "--wheel", "-q", "-o", target, folder], check=True)
    else:
        environment.pip("wheel", "--no-deps", "-w", target, folder)
    (wheel,) = target.glob("*.whl")
    return wheel


def pack(folder: Path, distribution: str, plugin: str, source: str, version: str = "0.3.1") -> Path:
    """Write a wheel of one module by hand (PEP 427), which is quicker than a build."""
    module = distribution.replace("-", "_")
    information = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": source,
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{information}/entry_points.txt": f"[ml4t.backtest]\n{plugin} = {module}\n",
    }
    record = ""
    for name, text in files.items():
        digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(text.encode())}\n"
    files[f"{information}/RECORD"] = record + f"{information}/RECORD,,\n"
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """One environment for this file."""
    return Environment(tmp_path_factory.mktemp("outside"))


@pytest.fixture(scope="module")
def lines_wheel(environment, tmp_path_factory):
    """The reporter as a wheel."""
    return build(tmp_path_factory.mktemp("author"), environment)


@pytest.fixture
def run_folder(tmp_path):
    """A run file that wants the reporter, its strategy and its prices."""
    for name, text in (("run.toml", RUN_FILE), ("buy_once.py", STRATEGY), ("prices.csv", PRICES)):
        (tmp_path / name).write_text(text)
    return tmp_path


def listed(environment: Environment, folder: Path, plugin: str) -> str:
    """Return what is said of a plugin, or nothing where it is not installed."""
    shown = environment.run("-m", "ml4t.backtest", cwd=folder)
    assert 0 == shown.returncode, shown.stderr
    return "\n".join(line for line in shown.stdout.splitlines() if line.startswith(f"{plugin} "))


@pytest.mark.slow
def test_an_installed_wheel_is_used_and_a_removed_one_is_missed(environment, lines_wheel, run_folder):
    """Installing is all there is to do; removed, the run file says which distribution to install."""
    assert "" == listed(environment, run_folder, "reporter-lines")

    environment.install(lines_wheel)
    said = listed(environment, run_folder, "reporter-lines")
    done = environment.run("-c", RUN, "run", "run.toml", "--quiet", "--out", "out", cwd=run_folder)

    assert "reporter-lines (ml4t-backtest-reporter-lines 0.2.0), loaded: write the final equity on one line" == said
    assert 0 == done.returncode, done.stderr
    assert "done 1010.00\n" == (run_folder / "lines.txt").read_text()

    environment.pip("uninstall", "-y", "ml4t-backtest-reporter-lines")
    missed = environment.run("-c", RUN, "run", "run.toml", "--out", "second", cwd=run_folder)

    assert "" == listed(environment, run_folder, "reporter-lines")
    assert 2 == missed.returncode
    assert "pip install ml4t-backtest-reporter-lines" in missed.stderr
    assert "Traceback" not in missed.stderr
    assert not (run_folder / "second").exists()


@pytest.mark.slow
def test_broken_plugins_are_reported_and_do_not_touch_a_run_that_does_not_use_them(
    environment, lines_wheel, run_folder
):
    """Each is listed with name, version and reason; a name taken is an error only where it is used."""
    sources = {name: source.format(name=name, component=name) for name, (source, _) in BROKEN.items()}
    wheels = [pack(run_folder, f"acme-{name}", name, source) for name, source in sources.items()]
    taken = PLUGIN.format(name="reporter-other", component="console")
    wheels.append(pack(run_folder, "acme-other", "reporter-other", taken))
    environment.install(lines_wheel, *wheels)
    try:
        done = environment.run("-c", RUN, "run", "run.toml", "--quiet", "--out", "out", cwd=run_folder)
        said = {name: listed(environment, run_folder, name) for name in BROKEN}
        clash = environment.run(
            "-c", RUN, "run", "run.toml", "--set", "reporter.0.use=console", "--out", "second", cwd=run_folder
        )
    finally:
        environment.pip("uninstall", "-y", "ml4t-backtest-reporter-lines", "acme-other", *map("acme-{}".format, BROKEN))

    assert 0 == done.returncode, done.stderr
    assert "done 1010.00\n" == (run_folder / "lines.txt").read_text()
    for name, (_, reason) in BROKEN.items():
        assert f"{name} (acme-{name} 0.3.1), failed:" in said[name]
        assert reason in said[name]
    assert 2 == clash.returncode
    for part in (
        "acme-other 0.3.1",
        "ml4t-backtest-reporter-console 0.1.0",
        'reporter "console" is offered by',
    ):
        assert part in clash.stderr
