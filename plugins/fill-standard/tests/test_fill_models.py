"""The standard fill models are rules."""

import dataclasses

import pytest

from ml4t.backtest.errors import RunFileError
from ml4t.backtest.interfaces import FillModel, FillRules, Setup
from ml4t_backtest_fill_standard.models import NextClose, NextOpen, NextVwap, SameClose

MODELS = [(NextOpen, "open"), (NextClose, "close"), (NextVwap, "vwap"), (SameClose, "same-close")]


@pytest.mark.parametrize(("cls", "market"), MODELS)
def test_model_names_the_price_of_market_orders(cls, market):
    """Without settings all other rules are the defaults, and the broker finds every price itself."""
    model = cls(cls.Config(), Setup(name="fill"))

    assert isinstance(model, FillModel)
    assert FillRules(market=market) == model.rules
    assert model.function is None
    assert model.describe().startswith("at the ")


@pytest.mark.parametrize(("cls", "market"), MODELS)
def test_settings_become_rules(cls, market):
    """Each other rule is a setting of the same name."""
    config = cls.Config(limit="cross", children="next-bar", volume_limit=0.1, volume_basis="trailing")
    rules = cls(config, Setup(name="fill")).rules

    assert ("cross", "next-bar", 0.1, "trailing", market) == (
        *(rules.limit, rules.children, rules.volume_limit, rules.volume_basis),
        rules.market,
    )


def test_every_rule_but_the_price_of_market_orders_is_a_setting():
    """A rule without a setting could not be chosen in a run file."""
    rules = {field.name: field.default for field in dataclasses.fields(FillRules)}
    settings = {field.name: field.default for field in dataclasses.fields(NextOpen.Config)}

    assert "open" == rules.pop("market")
    assert rules == settings


@pytest.mark.parametrize("limit", [-0.1, 1.1, 10.0, float("inf"), float("nan")])
def test_volume_limit_is_a_part(limit):
    """A part is a number from 0 to 1: 10 % is 0.1, and 10 would be no limit at all."""
    with pytest.raises(RunFileError, match=r"volume_limit of fill model fill was .* from 0 to 1, as 0\.1 for a tenth"):
        NextOpen(NextOpen.Config(volume_limit=limit), Setup(name="fill"))
    assert 1.0 == NextOpen(NextOpen.Config(volume_limit=1.0), Setup(name="fill")).rules.volume_limit
