"""Settings of an account that no account could have."""

import pytest

from ml4t_backtest_portfolio_standard.account import Account


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": ""}, "name is empty"),
        ({"settlement_days": -1}, "settlement_days was -1, expected at least 0"),
        ({"day_count": 0}, "day_count was 0, expected at least 1"),
        ({"max_mark_age": -1}, "max_mark_age was -1, expected at least 0"),
        ({"max_fx_age": -1}, "max_fx_age was -1, expected at least 0"),
        ({"initial_margin": -0.1}, "initial_margin was -0.1"),
        ({"maintenance_margin": float("inf")}, "maintenance_margin was inf"),
        ({"initial_margin": float("nan")}, "initial_margin was nan"),
        ({"initial_margin": 0.1}, "maintenance_margin 0.25 is above initial_margin 0.1: lower it"),
        ({"borrow": {"rate": 0.1}}, "expected a yearly rate such as 0.003, or a table"),
        ({"interest": 0.05}, "interest was 0.05, expected { debit = 0.06, credit = 0.02 }, or a table"),
        ({"funding": 0.1}, "funding was 0.1, expected a table"),
        ({"funding": {"rate": 0.1}}, "expected a table"),
    ],
)
def test_what_no_account_could_have_is_refused(settings, said):
    """In a sentence that says what would do."""
    with pytest.raises(ValueError, match=r".") as raised:
        Account(**settings)
    assert said in str(raised.value)


def test_what_any_account_could_have_is_taken():
    """Bounds are inclusive."""
    settings = {"settlement_days": 0, "day_count": 1, "max_mark_age": 0, "max_fx_age": 0, "borrow": -0.01}
    account = Account(initial_margin=0.0, maintenance_margin=0.0, **settings)
    assert settings == {name: getattr(account, name) for name in settings}
