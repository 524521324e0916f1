import sys

import pytest

from ml4t.backtest import compat


@pytest.fixture
def offer(tmp_path, monkeypatch):
    def offer(distribution, **classes):
        folder = tmp_path / f"{distribution}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {path}\n" for name, path in classes.items())
        (folder / "entry_points.txt").write_text(f"[ml4t.backtest.compat]\n{lines}")
        if str(tmp_path) not in sys.path:
            monkeypatch.syspath_prepend(tmp_path)

    return offer


def test_an_offered_class_is_imported_through_the_door(offer):
    """A distribution adds a class by an entry point, under the name of its choice."""
    offer("acme", AcmeAlgorithm="fractions:Fraction")
    from fractions import Fraction

    from ml4t.backtest.compat import AcmeAlgorithm

    assert Fraction is AcmeAlgorithm
    assert "AcmeAlgorithm" in dir(compat)


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("ZiplineAlgorithm", "ml4t-backtest-compat-zipline"),
        ("BacktraderStrategy", "ml4t-backtest-compat-backtrader"),
    ],
)
def test_a_first_party_class_that_is_not_installed_says_what_to_install(name, distribution, monkeypatch):
    """The remedy is one line to type."""
    monkeypatch.setattr(compat, "_entries", list)

    with pytest.raises(ImportError, match=f"pip install {distribution}$"):
        getattr(compat, name)


def test_an_unknown_class_is_an_import_error_that_lists_the_known():
    """An AttributeError's message would be lost in a from-import."""
    with pytest.raises(ImportError, match=r"no installed distribution offers Nonesuch .* ZiplineAlgorithm"):
        from ml4t.backtest.compat import Nonesuch  # noqa: F401


def test_names_with_an_underscore_are_plainly_missing():
    """Inspection of the module must not raise ImportError."""
    assert not hasattr(compat, "__wrapped__")


def test_a_class_offered_twice_is_refused_with_both_owners(offer):
    """Which one would win must not depend on the order of installation."""
    offer("acme", Twice="fractions:Fraction")
    offer("zeta", Twice="decimal:Decimal")

    with pytest.raises(ImportError, match=r"acme 1\.0 and zeta 1\.0: uninstall one"):
        compat.Twice  # noqa: B018
