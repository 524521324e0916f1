"""Where things are and what they are called."""

import subprocess
import tomllib
from pathlib import Path

import pytest

FOLDERS = {"contrib", "docs", "kernel", "plugins", "tests"}
TOP_LEVEL = FOLDERS | {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"}
UNTRACKED = {"build", "dist", "htmlcov", "runs", "uv.lock"}
GROUP = "ml4t.backtest"


def spelling_violations(folder: Path) -> list[str]:
    """Return where the four spellings of a plugin's name disagree.

    Args:
        folder: The folder of the distribution, such as ``plugins/feed-parquet``.
    """
    name = folder.name
    package = "ml4t_backtest_" + name.replace("-", "_")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    found = []
    if project["name"] != f"ml4t-backtest-{name}":
        found.append(f"{name}: the distribution is called {project['name']}")
    entry_points = project.get("entry-points", {}).get(GROUP, {})
    if entry_points != {name: f"{package}.plugin"}:
        found.append(f"{name}: the entry points are {entry_points}")
    packages = (
        {path.name for path in (folder / "src").iterdir() if path.is_dir()} if (folder / "src").is_dir() else set()
    )
    packages = {path.name for path in folder.glob("src/*/") if not path.name.startswith((".", "__"))}
    if packages != {package}:
        found.append(f"{name}: the import packages are {sorted(packages)}")
    return found


def missing_parts(folder: Path) -> list[str]:
    """Return what every distribution has and this one lacks."""
    wanted = {
        "README.md": (folder / "README.md").is_file(),
        "tests/test_*.py": any((folder / "tests").glob("test_*.py")),
        "py.typed": any((folder / "src").rglob("py.typed")),
    }
    if folder.name != "kernel":
        wanted["plugin.py"] = any((folder / "src").glob("*/plugin.py"))
    return [f"{folder.name}: no {part}" for part, present in wanted.items() if not present]


def misplaced_packages(root: Path) -> list[str]:
    """Return ``ml4t/__init__.py`` anywhere, as it ends the namespace, and ``__init__.py`` among tests."""
    found = [path.relative_to(root) for path in root.rglob("__init__.py")]
    found = [path for path in found if not any(part.startswith(".") for part in path.parts)]
    return [str(path) for path in sorted(found) if path.parts[-2:-1] == ("ml4t",) or "tests" in path.parts]


def strangers(names: set[str]) -> list[str]:
    """Return the top-level names that do not belong there; dot files do."""
    return sorted(name for name in names - TOP_LEVEL - UNTRACKED if not name.startswith("."))


def tracked_names(repository: Path) -> set[str]:
    """Return the top-level names under version control, or all where there is no git."""
    listing = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=False)
    if listing.returncode == 0 and listing.stdout:
        return {line.split("/")[0] for line in listing.stdout.splitlines()}
    return {path.name for path in repository.iterdir()}


def test_the_four_spellings_of_each_plugin_agree(distributions):
    """Folder, distribution, import package and entry point are one name."""
    assert [] == [line for folder in distributions for line in spelling_violations(folder)]


def test_every_distribution_has_readme_tests_and_types(repository, distributions):
    """A distribution stands on its own."""
    folders = [repository / "kernel", *distributions]
    assert [] == [line for folder in folders for line in missing_parts(folder)]


def test_the_namespace_and_the_tests_have_no_package_file(repository):
    """``ml4t`` is shared with other projects (PEP 420); tests are collected with importlib."""
    assert [] == misplaced_packages(repository)


def test_nothing_lies_beside_the_fixed_top_level(repository):
    """A new thing belongs into one of the folders that are there."""
    assert [] == strangers(tracked_names(repository))


def test_the_default_install_holds_every_plugin_but_the_testkit(repository):
    """A new folder under plugins/ is worth nothing if nobody gets it."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    depends = {requirement.split(">")[0] for requirement in project["dependencies"]}
    folders = {path.parent.name for path in repository.glob("plugins/*/pyproject.toml")} - {"testkit"}
    assert {"ml4t-backtest-kernel", *(f"ml4t-backtest-{name}" for name in folders)} == depends


def test_every_contrib_distribution_is_behind_an_extra_and_tested_here(repository):
    """Nobody gets it unasked, everybody can ask for it, and one run of the tests covers it."""
    root = tomllib.loads((repository / "pyproject.toml").read_text())
    extras = [name for names in root["project"]["optional-dependencies"].values() for name in names]
    names = {f"ml4t-backtest-{path.parent.name}" for path in repository.glob("contrib/*/pyproject.toml")}
    assert names == {requirement.split(">")[0] for requirement in extras} - {"ml4t-backtest-testkit"}
    assert names <= set(root["dependency-groups"]["dev"])
    assert not names & {requirement.split(">")[0] for requirement in root["project"]["dependencies"]}


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A complete plugin called feed-moon."""
    folder = tmp_path / "feed-moon"
    package = folder / "src" / "ml4t_backtest_feed_moon"
    package.mkdir(parents=True)
    (folder / "tests").mkdir()
    for name in ("plugin.py", "py.typed"):
        (package / name).write_text("")
    for name in ("README.md", "tests/test_moon.py"):
        (folder / name).write_text("")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "ml4t-backtest-feed-moon"\n'
        '[project.entry-points."ml4t.backtest"]\nfeed-moon = "ml4t_backtest_feed_moon.plugin"\n'
    )
    return folder


def test_a_complete_plugin_passes(plugin):
    """The rules must be able to hold."""
    assert [] == spelling_violations(plugin) + missing_parts(plugin)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"ml4t-backtest-feed-moon"', '"ml4t-backtest-moon"'),
        ("feed-moon = ", "moon = "),
        ("ml4t_backtest_feed_moon.plugin", "ml4t_backtest_feed_moon.hooks"),
    ],
)
def test_a_different_spelling_is_found(plugin, right, wrong):
    """The rule must be able to fail."""
    pyproject = plugin / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace(right, wrong))
    assert 1 == len(spelling_violations(plugin))


def test_a_second_import_package_is_found(plugin):
    """The rule must be able to fail."""
    (plugin / "src" / "moon").mkdir()
    assert 1 == len(spelling_violations(plugin))


@pytest.mark.parametrize("part", ["README.md", "tests/test_moon.py", "src/ml4t_backtest_feed_moon/py.typed"])
def test_a_missing_part_is_found(plugin, part):
    """The rule must be able to fail."""
    (plugin / part).unlink()
    assert 1 == len(missing_parts(plugin))


@pytest.mark.parametrize("path", ["src/ml4t/__init__.py", "kernel/tests/__init__.py", "tests/a/__init__.py"])
def test_a_misplaced_package_file_is_found(tmp_path, path):
    """The rule must be able to fail."""
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("")
    assert [path] == misplaced_packages(tmp_path)


def test_a_stranger_at_the_top_is_found():
    """The rule must be able to fail."""
    assert ["scripts"] == strangers({"kernel", ".ci", "uv.lock", "scripts"})
