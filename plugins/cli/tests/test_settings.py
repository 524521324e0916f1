"""What the settings of a component are, for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ml4t_backtest_cli.settings import ConfigRow, describe_config


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of a component.

    Attributes:
        bps: Basis points of the price,
            never negative. Default: 5.
    """

    bps: float = 5.0
    path: str
    capital: Mapping[str, float] = field(default_factory=dict)


def test_a_description_holds_type_default_and_documentation():
    """``plugins show`` tells what the docstring tells, continuation lines included."""
    assert [
        ConfigRow("bps", "float", "5.0", "Basis points of the price, never negative. Default: 5."),
        ConfigRow("path", "str", "required", ""),
        ConfigRow("capital", "table of float", "{}", ""),
    ] == describe_config(Config)
