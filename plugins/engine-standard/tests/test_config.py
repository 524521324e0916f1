from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import pytest

from ml4t.backtest.errors import RunFileError
from ml4t_backtest_engine_standard.assembly.config import Errors, build_config


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of a component.

    Attributes:
        bps: Basis points of the price,
            never negative. Default: 5.
        mode: When it fills.
    """

    bps: float = 5.0
    mode: Literal["open", "close"] = "open"
    path: Path | None = None
    start: date | None = None
    at: datetime | None = None
    capital: Mapping[str, float] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    band: tuple[float, float] = (0.0, 1.0)
    columns: list[str] = field(default_factory=list)
    inner: Inner = Inner()
    count: int = 1
    flag: bool = False
    frame: object = None

    def __post_init__(self):
        if self.bps < 0:
            raise ValueError("bps was negative")


def build(**settings):
    return build_config(Config, settings, where="broker.slippage", owner="slippage bps")


def problems_of(**settings):
    with pytest.raises(RunFileError) as caught:
        build(**settings)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("key", "given", "kept"),
    [
        ("bps", 7, 7.0),
        ("mode", "close", "close"),
        ("path", "a/b", Path("a/b")),
        ("path", None, None),
        ("start", date(2014, 1, 2), date(2014, 1, 2)),
        ("start", "2014-01-02", date(2014, 1, 2)),
        ("at", datetime(2014, 1, 2, 9, 30), datetime(2014, 1, 2, 9, 30)),
        ("capital", {"USD": 1}, {"USD": 1.0}),
        ("names", ["a", "b"], ("a", "b")),
        ("band", [0, 2], (0.0, 2.0)),
        ("columns", ("x",), ["x"]),
        ("inner", {"depth": 3}, Inner(depth=3)),
        ("inner", Inner(depth=4), Inner(depth=4)),
        ("frame", {"any": "thing"}, {"any": "thing"}),
    ],
)
def test_a_fitting_value_becomes_the_declared_type(key, given, kept):
    """An integer is a float where one is declared, text is a path or a date, a list a tuple."""
    actual = getattr(build(**{key: given}), key)

    assert (kept, type(kept)) == (actual, type(actual))


@pytest.mark.parametrize(
    ("key", "given", "where", "expected"),
    [
        ("bps", "7", "bps", "float"),
        ("bps", True, "bps", "float"),
        ("bps", float("nan"), "bps", "float"),
        ("count", True, "count", "int"),
        ("count", 1.0, "count", "int"),
        ("flag", 1, "flag", "bool"),
        ("mode", "opne", "mode", "one of 'open', 'close'"),
        ("start", datetime(2014, 1, 2), "start", "date"),
        ("start", "2 January", "start", "date"),
        ("capital", {"USD": "1"}, "capital.USD", "float"),
        ("names", "abc", "names", "list of str"),
        ("names", ["a", 2], "names.1", "str"),
        ("band", [1.0], "band", "list of float"),
        ("inner", {"depth": "x"}, "inner.depth", "int"),
        ("inner", 3, "inner", "table"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_key_value_type_and_owner(key, given, where, expected):
    """The message holds the dotted key, the value, the expected type and whose setting it is."""
    value = given
    for part in where.split(".")[1:]:
        value = value[int(part)] if part.isdecimal() else value[part]

    assert [f"broker.slippage.{where} was {value!r}, expected {expected} (setting of slippage bps)"] == problems_of(
        **{key: given}
    )


def test_an_unknown_key_is_refused_with_the_nearest_known_one():
    """A typo never falls back to a default in silence."""
    assert ['broker.slippage.bsp is not a known key; did you mean "bps" (setting of slippage bps)'] == problems_of(
        bsp=7
    )


def test_a_missing_setting_without_default_is_an_error():
    """A field without a default is required."""

    @dataclass(frozen=True, kw_only=True)
    class Required:
        path: Path

    with pytest.raises(RunFileError, match=r"^feed\.path is missing, expected Path"):
        build_config(Required, {}, where="feed", owner="feed csv")


def test_a_component_that_refuses_its_values_is_reported_like_a_type_error():
    """What __post_init__ raises joins the report."""
    assert ["broker.slippage cannot be used: bps was negative (setting of slippage bps)"] == problems_of(bps=-1)


def test_all_mistakes_of_a_run_come_in_one_error():
    """Errors collects over several components and names the file in each line."""
    errors = Errors("run.toml")
    errors.config(Config, {"bps": "x", "mode": 1}, where="a", owner="one")
    errors.config(Inner, {"dept": 1}, where="b", owner="two")

    with pytest.raises(RunFileError) as caught:
        errors.raise_if_any()

    assert ["run.toml: a.bps", "run.toml: a.mode", "run.toml: b.dept"] == [
        problem.split(" was ")[0].split(" is ")[0] for problem in caught.value.problems
    ]
