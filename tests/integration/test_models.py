"""Models are asked during the run, about what is known then, and about nothing else."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, InputError, LookAheadError, RunError, Strategy

DAYS = [date(2024, 1, 1) + timedelta(days=number) for number in range(30)]
SYMBOLS = ["A", "B", "C", "D"]
DAY = 86_400 * 10**9


def market(gap=False):
    """Return 30 daily bars of four symbols; with ``gap`` D begins on the tenth day."""
    generator = np.random.default_rng(11)
    closes = 100.0 * np.exp(np.cumsum(generator.normal(0, 0.02, (len(DAYS), len(SYMBOLS))), axis=0))
    keys = {"timestamp": np.repeat(np.array(DAYS, "datetime64[D]"), 4), "symbol": SYMBOLS * len(DAYS)}
    prices = pl.DataFrame({**keys, "open": closes.ravel(), "close": closes.ravel()})
    return prices.filter((pl.col("symbol") != "D") | (pl.col("timestamp") >= DAYS[9])) if gap else prices


class Watcher(Strategy):
    """Keep what it sees of the signals, and buy the best."""

    def __init__(self, *names):
        self.names, self.seen, self.batches = names or ("score",), [], []

    def on_signal(self, batch, context):
        self.batches.append((batch.source, context.now, batch.symbol_ids.tolist(), batch.values))

    def on_slice(self, market, context):
        self.seen.append([context.now, *(context.signal(name).copy() for name in self.names)])
        score = context.signal(self.names[0])
        if np.isfinite(score).any():
            context.order_target("ABCD"[int(np.nanargmax(score))], 1.0)


def run(model, prices=None, strategy=None, **settings):
    """Run a strategy on what one model says."""
    more = {name: settings.pop(name) for name in ("start", "warmup", "calendar", "tables") if name in settings}
    signal = {"use": "model", "model": model, **settings}
    strategy = strategy or Watcher(*settings.get("values", ()))
    prices = market() if prices is None else prices
    engine = Engine(prices=prices, bar="1d", signal=[signal], strategy=strategy, **more)
    return engine.run(), strategy


MOMENTUM = ({"name": "month", "field": "close", "history": 5, "transform": "change"},)


def momentum(features, view):
    return features["month"]


def test_a_function_gives_the_same_run_as_its_answers_in_a_frame():
    """Asked after the rows of an instant and before its callbacks, with what a frame of labels would hold."""
    prices = market()
    wide = prices.pivot(on="symbol", index="timestamp", values="close")
    changes = wide.select("timestamp", *(pl.col(name) / pl.col(name).shift(4) - 1 for name in SYMBOLS))
    scores = changes.unpivot(index="timestamp", variable_name="symbol", value_name="score").drop_nulls()
    expected = Engine(prices=prices, bar="1d", signals=scores, strategy=Watcher()).run()
    result, _ = run(momentum, prices, features=MOMENTUM)
    assert expected.decision_hash == result.decision_hash
    assert expected.result_hash == result.result_hash
    columns = ["symbol", "event_time", "known_at", "used_at", "fate", "score"]
    order = ["known_at", "symbol"]
    assert expected.signals.select(columns).sort(order).equals(result.signals.select(columns).sort(order))


def test_with_latency_an_answer_is_known_at_an_instant_of_its_own():
    """It wakes on_signal alone, and the slice of the next day sees it."""
    result, strategy = run(momentum, features=MOMENTUM, latency="90m")
    asked = datetime(2024, 1, 6, tzinfo=UTC)
    source, known, ids, values = strategy.batches[0]
    assert ("model", asked + timedelta(minutes=90), [0, 1, 2, 3]) == (source, known, ids)
    row = result.signals.row(0, named=True)
    assert (asked, asked + timedelta(minutes=90)) == (row["event_time"], row["known_at"])
    at = [now for now, score in strategy.seen if np.isfinite(score).any()]
    assert asked + timedelta(days=1) == at[0]
    assert values["score"].tolist() == strategy.seen[5][1].tolist()
    assert 30 == len(strategy.seen)


def test_the_model_is_asked_while_rows_warm_up():
    """A value is there at the first slice after the start."""
    _, strategy = run(momentum, features=MOMENTUM, start="2024-01-15", warmup="10d")
    assert np.isfinite(strategy.seen[0][1]).all()
    assert datetime(2024, 1, 16, tzinfo=UTC) == strategy.batches[0][1]


def test_every_session_is_after_its_close_whatever_the_bars():
    """Hourly bars, asked once a day."""
    hours = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=number) for number in range(72)]
    prices = pl.DataFrame({"timestamp": hours, "symbol": "A", "open": 1.0, "close": np.arange(72) + 1.0})
    asked = []

    def model(features, view):
        asked.append((view.now, features["close"][0]))
        return features["close"]

    signal = {"use": "model", "model": model, "every": "session", "features": [{"field": "close"}]}
    feed = {"bar": "1h", "stamp": "open"}
    Engine(prices=prices, **feed, signal=[signal], strategy=Watcher()).run()
    assert [(datetime(2024, 1, day, tzinfo=UTC), 24.0 * (day - 1)) for day in (2, 3, 4)] == asked


def test_every_session_waits_for_bars_that_come_with_latency():
    """The close of the day is known 30 minutes after it, and then the model is asked.

    A run's first session is that in which its first row is known.
    """
    feed = {"use": "frame", "name": "prices", "frame": market(), "bar": "1d", "latency": "30m"}
    asked = []

    def model(features, view):
        asked.append((view.now, float(view.price("A"))))
        return np.full(len(view.symbols), 1.0)

    signal = {"use": "model", "model": model, "every": "session"}
    Engine(feed=[feed], signal=[signal], strategy=Watcher()).run()
    closes = market().filter(pl.col("symbol") == "A")["close"].to_list()
    assert [(datetime(2024, 1, 3, 0, 30, tzinfo=UTC), closes[1])] == asked[:1]
    assert closes[1:] == [price for _, price in asked]


def test_every_session_asks_once_per_session_however_late_its_bars():
    """Bars that come two days after their close: by then the closes of two more sessions have passed."""
    feed = {"use": "frame", "name": "prices", "frame": market(), "bar": "1d", "latency": "50h"}
    asked = []

    def model(features, view):
        asked.append((view.now, float(view.price("A"))))
        return np.full(len(view.symbols), 1.0)

    signal = {"use": "model", "model": model, "every": "session"}
    Engine(feed=[feed], signal=[signal], strategy=Watcher()).run()
    closes = market().filter(pl.col("symbol") == "A")["close"].to_list()
    late = datetime(2024, 1, 2, 2, tzinfo=UTC) + timedelta(days=2)
    assert [(late + timedelta(days=number), closes[number]) for number in range(3, 30)] == asked


class Line:
    """A least-squares line through what it was fitted on, in the manner of scikit-learn."""

    def fit(self, features, target):
        design = np.column_stack([np.ones(len(features)), features])
        self.weights = np.linalg.lstsq(design, target, rcond=None)[0]
        return self

    def predict(self, features):
        assert np.isfinite(features).all()
        return self.weights[0] + features @ self.weights[1:]


class Sides(Line):
    """Probabilities of down and up."""

    def predict_proba(self, features):
        up = 1.0 / (1.0 + np.exp(-self.predict(features)))
        return np.column_stack([1.0 - up, up])


def fitted(kind):
    generator = np.random.default_rng(5)
    features = generator.normal(size=(50, 2))
    return kind().fit(features, features @ np.array([1.0, -2.0]) + 0.5)


FEATURES = (
    {"name": "fast", "field": "close", "history": 3, "transform": "change"},
    {"name": "slow", "field": "close", "history": 8, "transform": "zscore"},
)


def test_an_estimator_is_asked_about_symbols_whose_features_are_known():
    """D begins later and has no value until its features are whole; the others have theirs."""
    result, strategy = run(fitted(Line), market(gap=True), features=FEATURES)
    d = [len(score) == 4 and bool(np.isfinite(score[3])) for _, score in strategy.seen]
    assert d.index(True) == 9 + 8 - 1
    assert d[16:] == [True] * 14
    assert all(np.isfinite(score[:3]).all() for _, score in strategy.seen[7:])
    prices = market().filter(pl.col("symbol") == "B")["close"].to_numpy()
    window = prices[22:30]
    slow = (window[-1] - window.mean()) / window.std()
    expected = fitted(Line).predict(np.array([[prices[29] / prices[27] - 1.0, slow]]))[0]
    assert pytest.approx(expected, rel=1e-12) == strategy.seen[29][1][1]
    assert 0 == result.signal_counts["model"]["unknown-symbol"]


def test_predict_proba_takes_the_last_classes():
    """Of two classes and one value it is the second's; with two values both."""
    _, one = run(fitted(Sides), features=FEATURES, method="predict_proba", values=["up"])
    _, both = run(fitted(Sides), features=FEATURES, method="predict_proba", values=["down", "up"])
    assert one.seen[20][1].tolist() == both.seen[20][2].tolist()
    assert pytest.approx(np.ones(4)) == both.seen[20][1] + both.seen[20][2]


def test_a_function_may_name_several_values_and_read_another_model():
    """Horizons are values; a later model reads the signal of an earlier one at the same instant."""
    first = {"use": "model", "name": "a", "model": momentum, "features": MOMENTUM, "values": ["raw"]}

    def both(features, view):
        return {"score_1d": -view.signal("raw"), "score_5d": view.signal("raw") * 2.0}

    second = {"use": "model", "name": "b", "model": both, "values": ["score_1d", "score_5d"]}
    strategy = Watcher("raw", "score_1d", "score_5d")
    Engine(prices=market(), bar="1d", signal=[first, second], strategy=strategy).run()
    _, raw, day, week = strategy.seen[-1]
    assert ((-raw).tolist(), (2.0 * raw).tolist()) == (day.tolist(), week.tolist())
    assert ["a", "b"] == [batch[0] for batch in strategy.batches[:2]]


def test_an_answer_without_any_value_ends_what_held():
    """NaN for all is a release in which nothing is known."""

    def model(features, view):
        return np.full(len(view.symbols), np.nan if view.now.day == 10 else 1.0)

    result, strategy = run(model)
    known = [bool(np.isfinite(score).any()) for now, score in strategy.seen]
    assert [now.day == 10 and now.month == 1 for now, _ in strategy.seen] == [not each for each in known]
    assert 29 * 4 == len(result.signals)


def test_a_model_is_not_asked_before_its_training_is_over():
    """Trained through the fifth, looking two days ahead, with a day of embargo: not before the ninth."""
    asked = []

    def model(features, view):
        asked.append(view.now)
        return np.zeros(len(view.symbols))

    run(model, trained_through="2024-01-05", horizon="2d", embargo="1d")
    assert datetime(2024, 1, 9, tzinfo=UTC) == asked[0]
    asked.clear()
    run(model, trained_through="9999-12-31")  # which no day follows
    assert [] == asked


def test_the_view_reads_and_cannot_order():
    """What the context reads it reads too; there is nothing to order with."""
    seen = {}

    def model(features, view):
        seen.update(
            price=view.price("A"), age=view.price_age("A"), index=view.index("B"), universe=view.universe.tolist(),
            session=view.session.date, history=view.history("close", 2).shape, now=view.now_ns,
            window=view.window("prices", "close").height, facts=view.asof("facts", "size").tolist(),
        )  # fmt: skip
        assert not [name for name in dir(view) if name.startswith(("order", "cancel", "bracket", "portfolio"))]
        with pytest.raises(LookAheadError):
            view.history("close", 3)
        with pytest.raises(RunError):
            view._context.order("A", 1.0)
        return np.zeros(len(view.symbols))

    facts = pl.DataFrame({"symbol": ["B"], "timestamp": [DAYS[0]], "size": [7.0]})
    run(model, tables={"facts": facts}, history=2)
    assert (0, 1, [True] * 4, (2, 4), 8) == tuple(
        seen[key] for key in ("age", "index", "universe", "history", "window")
    )
    assert (DAYS[29], 7.0) == (seen["session"], seen["facts"][1])


def test_a_feature_of_a_table_is_what_is_known_now():
    """Known from the evening of the tenth on."""
    facts = pl.DataFrame({"symbol": SYMBOLS, "timestamp": [DAYS[9]] * 4, "size": [1.0, 2.0, 3.0, 4.0]})
    feature = {"table": "facts", "field": "size", "transform": "rank"}
    _, strategy = run(lambda features, view: features["size_rank"], tables={"facts": facts}, features=[feature])
    assert np.isnan(strategy.seen[8][1]).all()
    assert pytest.approx([0.0, 1 / 3, 2 / 3, 1.0]) == strategy.seen[9][1]


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        (lambda features, view: np.zeros(3), RunError, r"returned an array of shape \(3,\), expected \(4,\)"),
        (lambda features, view: {"other": np.zeros(4)}, RunError, "returned other, expected score"),
        (lambda features, view: np.full(4, np.inf), RunError, "infinite 'score' for A: return NaN where unknown"),
        (lambda features, view: view.history("nothing", 1), LookAheadError, "nothing"),
        (lambda features, view: 1 / 0, ZeroDivisionError, "division by zero"),
    ],
)
def test_what_a_model_does_wrong_names_it(model, error, words):
    """The error keeps its type and gains a note with the source and the instant."""
    with pytest.raises(error, match=words) as caught:
        run(model)
    assert 'raised in models of signal "model" of ml4t-backtest-signal-model' in "".join(caught.value.__notes__)


class Short(Line):
    """One that forgets a row."""

    def predict(self, features):
        return super().predict(features)[1:]


def test_an_estimator_that_fails_is_told_with_what_it_was_asked():
    """A model that was fitted on other features says so itself; which ones it got, it cannot say."""
    with pytest.raises(ValueError, match="matmul") as caught:
        run(fitted(Line), features=FEATURES[:1])
    assert "its predict was asked about 4 symbols with 1 features (fast)" in caught.value.__notes__
    words = r"predict gave an array of shape \(3,\) for 4 symbols with 2 features \(fast, slow\); return a row for each"
    with pytest.raises(RunError, match=words):
        run(fitted(Short), features=FEATURES)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": 5}, "is no function and has no method predict"),
        ({"model": "momentum"}, 'write "module:name"'),
        ({"model": "nowhere:momentum"}, "cannot be loaded from nowhere:momentum"),
        ({"model": Line, "features": FEATURES}, "was the class Line: give an instance of it"),
        ({"model": Line()}, "is an estimator: say in `features` what it is told"),
        ({"model": Line(), "features": FEATURES, "method": "predict_proba"}, "has no method predict_proba"),
        ({"model": momentum, "features": [FEATURES[0], FEATURES[0]]}, "two features are called 'fast'"),
        ({"model": momentum, "features": [{"field": "close", "transform": "change"}]}, "set history to 2 or more"),
        (
            {"model": momentum, "features": [{"field": "size", "table": "x", "history": 2}]},
            "leave out feed and history",
        ),
        ({"model": momentum, "features": MOMENTUM, "features_from": momentum}, "leave one out"),
        ({"model": momentum, "values": []}, "values holds no name"),
        ({"model": momentum, "latency": "soon"}, "is no duration"),
        ({"model": momentum, "every": "bar"}, "expected one of 'slice', 'session'"),
        ({"model": momentum, "trained_through": datetime(2024, 1, 1)}, "has no zone"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_the_run(settings, words):
    """Nothing is asked."""
    with pytest.raises(InputError, match=words):
        run(**settings)


MODULE = """
import numpy as np

class Best:
    def predict(self, features):
        return features[:, 0]

best = Best()

def told(view):
    return {"close": view.history("close", 2)[-1]}

def predict(features, view):
    return features["close"]
"""


@pytest.mark.parametrize("model", ["predict", "best", "Best"])
def test_a_run_file_names_models_of_a_module_beside_it(tmp_path, model):
    """A function, an object and a class; its file counts in the manifest's inputs."""
    market().write_parquet(tmp_path / "prices.parquet")
    (tmp_path / "my_model.py").write_text(MODULE)
    text = f"""
        schema = 1
        strategy = {{ use = "signal", long = 1 }}
        [[feed]]
        use = "parquet"
        path = "prices.parquet"
        [[signal]]
        use = "model"
        model = "my_model:{model}"
        features_from = "my_model:told"
        history = 2
    """
    (tmp_path / "run.toml").write_text(text)
    result = Engine.from_file(tmp_path / "run.toml").run()
    assert result.state.fills.count > 0
    assert 64 == len(result.manifest["inputs"]["model"])
    (tmp_path / "my_model.py").write_text(MODULE + "\n# changed\n")
    assert (
        result.manifest["inputs"]["model"] != Engine.from_file(tmp_path / "run.toml").run().manifest["inputs"]["model"]
    )


@pytest.mark.parametrize("latency", ["0s", "90m"])
def test_a_run_that_goes_on_from_a_snapshot_asks_again(tmp_path, latency):
    """Killed between two instants and resumed, it decides the same."""
    signal = {"use": "model", "model": momentum, "features": MOMENTUM, "latency": latency}
    settings = {"prices": market(), "bar": "1d", "signal": [signal], "strategy": {"use": "signal", "long": 2}}
    whole = Engine(**settings).run()
    engine = Engine(**settings)
    for count, _ in enumerate(engine.steps()):
        if count == 14:
            engine.snapshot(tmp_path / "snapshot")
            break
    resumed = Engine(**settings).run(resume=tmp_path / "snapshot")
    assert whole.decision_hash == resumed.decision_hash
    assert whole.result_hash == resumed.result_hash
    assert whole.signals.equals(resumed.signals)


def test_the_check_of_data_leaves_models_alone():
    """They have no rows to look at."""
    signal = {"use": "model", "model": momentum, "features": MOMENTUM}
    findings = Engine(prices=market(), bar="1d", signal=[signal], strategy=Watcher(), open=False).check()
    assert [] == findings.filter(pl.col("source") == "model").rows()
