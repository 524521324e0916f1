"""What a path stands for, and what the folders on the way to a file say."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ml4t.backtest.errors import DataError
from ml4t_backtest_gate_standard.files import digest_files, find_files, partitions
from ml4t_backtest_testkit import make_setup


@pytest.fixture
def folder(tmp_path):
    """Files at several depths, among them some that are none of the data."""
    names = ["b.csv", "a.csv", "deep/er/c.CSV", "_temporary/0.csv", ".hidden.csv", "_SUCCESS", "notes.txt", "x[1].csv"]
    for name in names:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path


def found(folder, path, endings=(".csv",)):
    """Return the names, relative to a folder, of what a path stands for."""
    files = find_files(path, make_setup("prices", folder), endings)
    return [str(file.relative_to(folder)) if isinstance(file, Path) else file for file in files]


def test_a_folder_stands_for_its_files_at_any_depth_by_name(folder):
    """Names that begin with a dot or an underscore are those of tools."""
    assert ["a.csv", "b.csv", "deep/er/c.CSV", "x[1].csv"] == found(folder, str(folder))


def test_a_list_keeps_its_order(folder):
    """Files, globs and folders may be mixed."""
    assert ["b.csv", "deep/er/c.CSV", "a.csv", "b.csv", "x[1].csv"] == found(folder, ["b.csv", "deep", "*.csv"])


def test_a_name_with_brackets_is_a_file_before_it_is_a_glob(folder):
    """Nobody has to escape what lies there."""
    assert ["x[1].csv"] == found(folder, "x[1].csv")


def test_a_file_url_is_the_file(folder):
    """With its escapes decoded."""
    (folder / "a b.csv").write_text("")
    assert ["a b.csv"] == found(folder, f"file://{folder}/a%20b.csv")


def test_other_urls_are_kept_as_they_are(folder):
    """Whether they exist is found when they are read."""
    urls = ["s3://bucket/prices/*.csv", "https://example.org/a.csv?x=1"]
    assert [urls[0], "a.csv", urls[1]] == found(folder, [urls[0], "a.csv", urls[1]])


def test_a_folder_is_refused_where_files_have_no_ending(folder):
    """A caller without endings does not know which files are meant."""
    with pytest.raises(DataError, match=r"deep/: this is a folder; name its files, as in path = \"deep/\*\""):
        found(folder, "deep/", endings=())


def test_folders_named_key_value_are_columns():
    """Text stays text, so that symbols keep their zeros; dates are dates; escapes are decoded."""
    files = [Path("p/symbol=000001/day=2024-01-02/0.parquet"), "s3://b/symbol=A%2FB/day=2024-01-03/0.parquet"]
    expected = [{"symbol": "000001", "day": date(2024, 1, 2)}, {"symbol": "A/B", "day": date(2024, 1, 3)}]
    assert expected == partitions(files)


def test_the_default_partition_is_unknown():
    """As other tools write it."""
    files = [Path("day=2024-01-02/0.parquet"), Path("day=__HIVE_DEFAULT_PARTITION__/0.parquet")]
    assert [{"day": date(2024, 1, 2)}, {"day": None}] == partitions(files)


def test_plain_folders_are_no_columns():
    """Nor is what stands in the name of a file."""
    assert [{}, {}] == partitions([Path("a/b/c=d.parquet"), Path("1=2/c.parquet")])


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["symbol=A/0.csv", "0.csv"], "symbol=A/0.csv has symbol on its way and 0.csv has no folder key=value; "),
        (["symbol=A/0.csv", "day=1/0.csv"], "symbol=A/0.csv has symbol on its way and day=1/0.csv has day; "),
        (["day=2024-02-31/0.csv"], "folder day=2024-02-31: 2024-02-31 is no date; correct its name"),
    ],
)
def test_folders_that_contradict_each_other_are_refused(files, expected):
    """With both files."""
    with pytest.raises(DataError) as caught:
        partitions([Path(file) for file in files])
    assert str(caught.value).startswith(expected)


def test_the_digest_of_files_is_that_of_their_bytes_in_order(folder):
    """The SHA-256 that any tool prints; of several, that of these."""
    a, b = folder / "a.csv", folder / "b.csv"
    assert 3 == len({digest_files([a]), digest_files([a, b]), digest_files([b, a])})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "path names no file; name one, or a glob"),
        ([" "], "path names no file; name one, or a glob"),
        ("x" * 300, "x" * 255 + "…: no file system has names that long; correct path"),
        ("no\0where", "no\0where: no such file in "),
    ],
)
def test_what_can_be_no_path_is_refused(folder, path, expected):
    """An empty path is not the folder of the run file."""
    with pytest.raises(DataError) as caught:
        found(folder, path)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("size", [999_999, 1_000_000, 1_000_001, 2_100_000])
def test_the_digest_of_a_url_does_not_depend_on_how_rows_were_cut(size):
    """It is that of the columns, a million rows at a time."""

    class Rows:
        notes, spec = (), None

        def __init__(self, frame, size):
            self.frame, self.size = frame, size

        def batches(self):
            return self.frame.iter_slices(self.size)

    frame = pl.DataFrame({"close": pl.int_range(2_100_000, eager=True)})
    whole = digest_files(["s3://bucket/prices.parquet"], Rows(frame, 2_100_000))
    assert whole == digest_files(["s3://bucket/prices.parquet"], Rows(frame, size))
    assert whole != digest_files(["s3://bucket/prices.parquet"], Rows(frame.head(2_099_999), size))
    assert "" == digest_files(["s3://bucket/prices.parquet"])
