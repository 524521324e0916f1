from datetime import date

import pytest

from ml4t.backtest.errors import RunFileError
from ml4t_backtest_engine_standard.assembly.runfile import read_run_file
from ml4t_backtest_engine_standard.engine import Engine

MINIMAL = "schema = 1\n"


@pytest.fixture
def read(tmp_path):
    def read(text, *overrides):
        path = tmp_path / "run.toml"
        path.write_text(text, encoding="utf-8")
        return read_run_file(path, overrides)

    return read


def test_a_run_file_keeps_what_was_typed(read, tmp_path):
    """Settings are what TOML says; a single table of a repeatable key becomes a list of one."""
    run = read('schema = 1\nname = "a"\nstart = 2014-01-02\n[feed]\nuse = "parquet"\n[broker]\nuse = "simulation"\n')

    assert {
        "schema": 1,
        "name": "a",
        "start": date(2014, 1, 2),
        "feed": [{"use": "parquet"}],
        "broker": {"use": "simulation"},
    } == run.settings
    assert tmp_path.resolve() == run.base_dir


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("seed=7", ("seed",), 7),
        ("broker.slippage.bps=7.5", ("broker", "slippage", "bps"), 7.5),
        ("feed.1.path=b.parquet", ("feed", 1, "path"), "b.parquet"),
        ('feed.0.path="with space"', ("feed", 0, "path"), "with space"),
        ("strategy.symbols=['A', 'B']", ("strategy", "symbols"), ["A", "B"]),
        ("start=2015-01-02", ("start",), date(2015, 1, 2)),
        ("strategy.text=1\nseed = 3", ("strategy", "text"), "1\nseed = 3"),
    ],
)
def test_an_override_sets_one_value(read, override, path, value):
    """--set takes a dotted key, indices of lists included, and a TOML value or a bare word."""
    actual = read(MINIMAL + '[[feed]]\npath = "a"\n[[feed]]\npath = "b"\n', override).settings
    for key in path:
        actual = actual[key]

    assert value == actual


@pytest.mark.parametrize("text", ["", "[account]\nname = 'a'\n", "[[account]]\nname = 'a'\n"])
def test_an_override_of_the_first_table_needs_no_list(read, text):
    """One table, or none, is a list of one: what is counted from 0 is there."""
    (account,) = read(MINIMAL + text, "account.0.type=cash").settings["account"]

    assert account == ({"name": "a"} if text else {}) | {"type": "cash"}


@pytest.mark.parametrize(
    "override", ["seed", "=1", "a..b=1", "feed.7.path=x", "feed.x.path=1", "seed.x=1", "seed.x.y=1"]
)
def test_an_override_that_fits_nowhere_is_refused(read, override):
    """A misspelt override must not be lost."""
    with pytest.raises(RunFileError, match=r"cannot be applied: expected dotted\.key=value"):
        read(MINIMAL + 'seed = 1\n[[feed]]\npath = "a"\n', override)


def test_an_unknown_top_level_key_is_refused_with_the_nearest(read, tmp_path):
    """The message names the file and the key that was probably meant."""
    with pytest.raises(RunFileError) as caught:
        read(MINIMAL + "[brokr]\n[[fed]]\n")

    path = tmp_path / "run.toml"
    assert (
        f'{path}: brokr is not a known key; did you mean "broker"',
        f'{path}: fed is not a known key; did you mean "feed"',
    ) == caught.value.problems


@pytest.mark.parametrize(
    ("line", "place"),
    [('calendar = "XNYS"', "[clock]"), ('price_basis = "raw"', "[[feed]]"), ('signals = "s.parquet"', "[[signal]]")],
)
def test_a_keyword_of_python_is_told_where_run_files_have_it(read, line, place):
    """The same setting stands in a table there."""
    with pytest.raises(RunFileError) as caught:
        read(f"{MINIMAL}{line}\n")
    assert caught.value.problems[0].endswith(f"under {place}")


def test_a_syntax_error_names_file_line_and_column(read, tmp_path):
    """What is no TOML is reported where it stands."""
    with pytest.raises(RunFileError, match=r"run\.toml: line 2, column 8: "):
        read("schema = 1\nname = oops\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "schema was None, expected 1; the first line is: schema = 1"),
        ("schema = 2", "schema was 2, expected 1"),
        ("schema = 1\nseed = 1.5", "seed was 1.5, expected int"),
        ("schema = 1\nstart = 7", "start was 7, expected date or datetime"),
        ('schema = 1\nname = "../x"', r"name was '\.\./x', expected letters"),
        ("schema = 1\nfeed = 3", "feed was 3, expected table"),
        ("schema = 1\n[plugins]\ndisable = 'a'", "plugins.disable was 'a', expected list of str"),
        (
            "schema = 1\n[plugins]\nrequires = ['a']",
            'plugins.requires is not a known key; did you mean "require"',
        ),
    ],
)
def test_a_wrong_type_or_value_is_refused(read, text, message):
    """Each top-level key has one type."""
    with pytest.raises(RunFileError, match=message):
        read(text)


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path):
    """Missing, a folder, or no text: named with the path."""
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, message in [
        (tmp_path / "none.toml", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (binary, "is not UTF-8"),
    ]:
        with pytest.raises(RunFileError, match=message):
            read_run_file(path)


def test_an_unknown_keyword_is_refused_with_the_nearest():
    """A keyword that nobody knows would be a setting that nobody obeys."""
    with pytest.raises(RunFileError, match=r"calender is not a known key; .*calendar"):
        Engine(calender="XNYS")
