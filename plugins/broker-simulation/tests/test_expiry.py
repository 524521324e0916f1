"""Times in force: with which price, session or instant an order ends.

Sessions open at 100, 300, 500 and close at 200, 400, 600.
"""

import pytest

NAN = float("nan")
OPENS, CLOSES = (100, 300, 500), (200, 400, 600)
AWAY = {"buy": {"limit_price": 1.0}, "stop": {"stop_price": 99.0}}


@pytest.fixture
def world(make_world):
    """A broker that knows the sessions."""
    return make_world(opens=OPENS, closes=CLOSES)


def day(world, now, *prices):
    """Give the bar of the session that closes now, then the close."""
    if prices:
        world.bar(now, *prices)
    world.end_session(now)


FLAT = (10.0, 11.0, 9.0, 10.0)


@pytest.mark.parametrize("kind", ["limit", "stop"])
@pytest.mark.parametrize("submitted", [50, 100, 150])
def test_a_day_order_ends_at_the_close_of_the_session_of_which_it_could_take_a_price(world, kind, submitted):
    """Before the open and within the session alike: the close is still to come."""
    world.order(submitted, 5.0, kind, time_in_force="DAY", **{f"{kind}_price": 1.0 if kind == "limit" else 99.0})
    day(world, 200, *FLAT)

    assert [("expired", "day-over")] == world.history(0)
    assert [[], []] == world.working


def test_a_day_market_order_in_session_is_of_the_next_session(world):
    """It takes an open, and that is past; the next one fills it."""
    world.order(150, 5.0, time_in_force="DAY")
    day(world, 200, *FLAT)
    assert [] == world.history(0)
    day(world, 400, *FLAT)

    assert [(0, 5.0, 10.0, "next-open")] == world.priced


def test_a_day_order_submitted_at_the_close_is_of_the_next_session(world):
    """No price of the old one is left."""
    world.order(200, 5.0, "limit", limit_price=1.0, time_in_force="DAY")
    world.end_session(200)
    assert [] == world.history(0)
    day(world, 400, *FLAT)

    assert [("expired", "day-over")] == world.history(0)


def test_a_session_without_a_price_of_the_symbol_does_not_count(world):
    """No bar, or one of nulls: the order waits for the next session with one."""
    world.order(50, 5.0, "limit", limit_price=1.0, time_in_force="DAY")
    world.order(50, 5.0, time_in_force="DAY")
    day(world, 200)
    day(world, 400, NAN, NAN, NAN, NAN)
    assert [] == world.history(0) == world.history(1)
    day(world, 600, NAN, NAN, NAN, 10.0)

    assert [("expired", "day-over")] == world.history(0)
    assert [] == world.history(1)  # a market order takes an open, and there was none


def test_of_two_bars_of_a_session_the_day_order_may_take_both(world):
    """It ends with the session, not with a bar."""
    world.order(50, 5.0, "limit", limit_price=9.0, time_in_force="DAY")
    world.bar(150, 10.0, 10.0, 9.5, 10.0)
    assert [] == world.history(0)
    world.bar(200, 10.0, 10.0, 9.0, 10.0, start=150)

    assert [("filled", "limit")] == world.history(0)


def test_without_sessions_every_row_is_one(make_world):
    """A day order ends with the first row of which it could take a price."""
    world = make_world()
    world.order(150, 5.0, "limit", limit_price=1.0, time_in_force="DAY")
    world.order(150, 5.0, time_in_force="DAY")
    world.bar(200, *FLAT)

    assert [("expired", "day-over")] == world.history(0)
    assert [] == world.history(1)


@pytest.mark.parametrize(
    ("expires", "expected"),
    [(99, []), (100, [(10.0, 100)]), (150, [(10.0, 100)]), (200, [(10.0, 100)])],
)
def test_an_order_with_a_date_takes_prices_that_form_until_then(world, expires, expected):
    """An open at that very instant is one."""
    world.order(50, 5.0, "limit", limit_price=12.0, time_in_force="GTD", expires_at=expires)
    day(world, 200, *FLAT)

    fills = world.state.fills.rows()
    assert expected == list(zip(fills["price"].tolist(), fills["formed_at"].tolist(), strict=True))
    assert ([("filled", "limit-better")] if expected else [("expired", "date-reached")]) == world.history(0)


@pytest.mark.parametrize(("expires", "filled"), [(199, False), (200, True)])
def test_the_range_and_the_close_form_at_the_end_of_the_bar(world, expires, filled):
    """An expiry within the bar keeps the order from them."""
    world.order(50, 5.0, "limit", limit_price=9.0, time_in_force="GTD", expires_at=expires)
    world.order(150, 5.0, "limit", limit_price=10.0, time_in_force="GTD", expires_at=expires)
    day(world, 200, *FLAT)

    expected = [("filled", "limit")] if filled else [("expired", "date-reached")]
    assert expected == world.history(0) == world.history(1)


def test_an_expiry_is_told_at_the_first_close_after_it(world):
    """Or at the first row of the symbol; not before."""
    world.order(50, 5.0, "limit", limit_price=1.0, time_in_force="GTD", expires_at=250)
    day(world, 200, *FLAT)
    assert [] == world.history(0)
    world.end_session(400)
    assert [("expired", "date-reached")] == world.history(0)
    assert 400 == world.state.order_events.rows()["timestamp"][-1]


@pytest.mark.parametrize(
    ("kind", "terms", "bar", "history"),
    [
        ("market", {}, FLAT, [("filled", "next-open")]),
        ("limit", {"limit_price": 10.0}, FLAT, [("filled", "limit")]),
        ("limit", {"limit_price": 9.0}, FLAT, [("cancelled", "{}")]),
        ("limit", {"limit_price": 9.0}, (10.0, 11.0, 9.0, 8.0), [("cancelled", "{}")]),
        ("limit", {"limit_price": 9.0}, (NAN, 11.0, 8.0, 9.0), [("filled", "limit")]),
        ("limit", {"limit_price": 8.5}, (NAN, 11.0, 8.0, 9.0), [("cancelled", "{}")]),
        ("limit", {"limit_price": 8.5}, (NAN, NAN, NAN, NAN), []),
        ("market", {}, (NAN, 11.0, 8.0, 9.0), []),
    ],
)
@pytest.mark.parametrize(("tif", "reason"), [("IOC", "remainder-of-ioc"), ("FOK", "not-whole")])
def test_ioc_and_fok_orders_see_the_first_price_only(world, kind, terms, bar, history, tif, reason):
    """The open, or where that is unknown the close; a market order the price that its rule names."""
    world.order(50, 5.0, kind, time_in_force=tif, **terms)
    world.bar(200, *bar)

    assert [(status, why.format(reason)) for status, why in history] == world.history(0)


def test_an_ioc_order_in_session_takes_the_close(world):
    """It is the first price that forms after it; a market order waits for the next open."""
    world.order(150, 5.0, "limit", limit_price=10.0, time_in_force="IOC")
    world.order(150, 5.0, time_in_force="IOC")
    world.bar(200, *FLAT)
    assert [(0, 5.0, 10.0, "limit")] == world.priced
    world.bar(300, 10.5, 11.0, 9.0, 10.0)

    assert [(1, 5.0, 10.5, "next-open")] == world.priced[1:]


def test_a_quote_is_the_first_price_of_ioc_and_fok(world):
    """The next one they do not see any more."""
    world.order(50, 5.0, "limit", limit_price=10.0, time_in_force="IOC")
    world.quote(101, 9.0, 11.0)
    world.quote(102, 9.0, 10.0)

    assert [("cancelled", "remainder-of-ioc")] == world.history(0)


@pytest.mark.parametrize(("kind", "terms"), [("market", {}), ("limit", {"limit_price": 10.0})])
@pytest.mark.parametrize(("submitted", "session"), [(50, 200), (100, 200), (101, 400), (200, 400)])
def test_on_open_orders_are_of_the_next_session_that_opens(world, kind, terms, submitted, session):
    """They take the open of its first bar."""
    world.order(submitted, 5.0, kind, time_in_force="OPG", **terms)
    for now in (200, 400):
        if now > submitted:
            day(world, now, *FLAT)

    reason = "at-open" if kind == "market" else "limit"
    assert [(0, 5.0, 10.0, reason)] == world.priced
    assert [session - 100] == world.state.fills.rows()["formed_at"].tolist()


@pytest.mark.parametrize("bar", [(10.0, 11.0, 9.0, 9.0), (NAN, 11.0, 9.0, 9.0)])
def test_an_on_open_order_ends_with_the_bar_that_shows_the_open(world, bar):
    """Also where the open is unknown; neither range nor close fills it."""
    world.order(50, 5.0, "limit", limit_price=9.5, time_in_force="OPG")
    world.bar(200, *bar)

    assert [("expired", "open-missed")] == world.history(0)


def test_an_on_open_order_that_meets_no_bar_ends_with_its_session(world):
    """A bar that began before the open is none; a later bar comes too late."""
    world.order(50, 5.0, time_in_force="OPG")
    world.bar(150, *FLAT, start=60)
    assert [] == world.history(0)
    world.end_session(200)

    assert [("expired", "open-missed")] == world.history(0)


def test_without_sessions_an_on_open_order_takes_the_next_bar(make_world):
    """Each bar opens one."""
    world = make_world()
    world.order(150, 5.0, time_in_force="OPG")
    world.bar(200, *FLAT)
    assert [] == world.history(0)
    world.bar(300, NAN, 11.0, 9.0, 10.0)

    assert [("expired", "open-missed")] == world.history(0)


@pytest.mark.parametrize(("kind", "terms"), [("market", {}), ("limit", {"limit_price": 10.0})])
@pytest.mark.parametrize(("submitted", "session"), [(50, 200), (150, 200), (199, 200), (200, 400)])
def test_on_close_orders_take_the_close_of_the_first_session_that_closes_after_them(
    world, kind, terms, submitted, session
):
    """Not the closes of bars within it."""
    world.order(submitted, 5.0, kind, time_in_force="CLS", **terms)
    for now in (200, 400):
        if now > submitted:
            if now - 50 >= submitted:
                world.bar(now - 50, 9.0, 9.0, 9.0, 9.0)
            world.bar(now, 10.0, 10.0, 10.0, 10.0, start=now - 50)
            world.end_session(now)

    reason = "at-close" if kind == "market" else "limit"
    assert [(0, 5.0, 10.0, reason)] == world.priced
    assert [session] == world.state.fills.rows()["formed_at"].tolist()


@pytest.mark.parametrize("bar", [(9.0, 11.0, 8.0, 10.0), (9.0, 11.0, 8.0, NAN), None])
def test_an_on_close_order_that_the_close_does_not_fill_is_over(world, bar):
    """Whatever open and range were."""
    world.order(50, 5.0, "limit", limit_price=9.5, time_in_force="CLS")
    day(world, 200, *(bar or ()))

    assert [("expired", "close-missed")] == world.history(0)


def test_without_sessions_an_on_close_order_takes_the_next_close(make_world):
    """Or ends with that bar."""
    world = make_world()
    world.order(150, 5.0, "limit", limit_price=9.5, time_in_force="CLS")
    world.order(150, 5.0, time_in_force="CLS")
    world.bar(150, *FLAT)
    assert [] == world.history(0)
    world.bar(200, *FLAT)

    assert [("expired", "close-missed")] == world.history(0)
    assert [(1, 5.0, 10.0, "at-close")] == world.priced


@pytest.mark.parametrize("tif", ["OPG", "CLS"])
def test_quotes_and_trades_are_neither_opens_nor_closes(world, tif):
    """Orders on open and on close wait for bars."""
    world.order(50, 5.0, time_in_force=tif)
    world.quote(110, 9.0, 11.0)
    world.trade(111, 10.0)

    assert [] == world.priced


def test_expired_orders_leave_the_others_alone(world):
    """One of three of a symbol ends; the chain of the others stays."""
    world.order(50, 5.0, "limit", limit_price=1.0)
    world.order(50, 5.0, "limit", limit_price=1.0, time_in_force="DAY")
    world.order(50, 5.0, "limit", limit_price=1.0)
    other = world.order(50, 5.0, "limit", limit_price=1.0, symbol=1)
    day(world, 200, *FLAT)

    assert [[0, 2], [other]] == world.working
    assert [10.0, 5.0] == world.state.books["open_quantity"].tolist()


def test_what_is_open_in_the_end_is_cancelled(world):
    """In the order of ids, with the reason."""
    for _ in range(2):
        world.order(50, 5.0, "limit", limit_price=1.0)
    world.state.now = 200
    world.broker.finish()

    assert [("cancelled", "end-of-run")] == world.history(0) == world.history(1)
    assert [[], []] == world.working
    assert [0.0, 0.0] == world.state.books["open_quantity"].tolist()
