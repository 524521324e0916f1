"""The signal source that asks a model."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.stamps import StampRule, parse_duration
from ml4t.backtest.errors import RunError, RunFileError
from ml4t.backtest.interfaces import ModelSource, Setup, SourceSpec, Window
from ml4t_backtest_signal_model.features import Feature, compute

__all__ = ["ModelSignalConfig", "ModelSignalSource"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ModelSignalConfig:
    """What is asked, about what, and when.

    Attributes:
        model: ``module:name`` beside the run file; in Python also a function ``(features, view)``, or an estimator with
            a method ``predict``.
        features: What the model is told of each symbol.
        features_from: A function ``(view) -> {name: float64 (n,)}``, or its ``module:name``, in place of ``features``.
        values: Names of the signals that the model gives.
        every: When it is asked: ``slice``, whenever rows of a driving feed are known, or ``session``, once after its
            close.
        latency: From when it is asked to when the answer is known, such as ``"250ms"``.
        history: Bars that ``features_from`` and the model itself may look back.
        method: Method of an estimator.
        valid_for: How long a value holds, such as ``"5d"``; by default until the next answer.
        trained_through: Until when the data went that the model had seen, an ISO date or time.
        horizon: How far its values look ahead, such as ``"5d"``.
        embargo: What has to lie between ``trained_through + horizon`` and the first question.
    """

    model: Any
    features: tuple[Feature, ...] = ()
    features_from: str | Callable[..., Any] | None = None
    values: tuple[str, ...] = ("score",)
    every: Literal["slice", "session"] = "slice"
    latency: str = "0s"
    history: int = 1
    method: Literal["predict", "predict_proba"] = "predict"
    valid_for: str | None = None
    trained_through: date | datetime | None = None
    horizon: str | None = None
    embargo: str | None = None

    def __post_init__(self) -> None:
        names = [feature.called for feature in self.features]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"two features are called {twice[0]!r}: give one of them a name")
        if self.features and self.features_from is not None:
            raise ValueError("features and features_from are both given: leave one out")
        if not self.values or len(set(self.values)) < len(self.values):
            raise ValueError("values holds no name, or one twice")


class ModelSignalSource(ModelSource):
    """Values that a function or a fitted estimator gives, about nothing but what is known at that instant.

    Args:
        config: What is asked.
        setup: Name of the source, and who finds ``module:name``.

    Raises:
        RunFileError: The model is neither a function nor an estimator, or an estimator has no features.
    """

    Config = ModelSignalConfig

    def __init__(self, config: ModelSignalConfig, setup: Setup) -> None:
        self._config, self.every = config, config.every
        self.history = max([config.history, *(feature.history for feature in config.features)])
        self._model = _found(config.model, setup, "model")
        self._features_from = _found(config.features_from, setup, "features_from")
        self._method = getattr(self._model, config.method, None)
        if self._method is None and self._model is not None:
            if hasattr(self._model, "predict"):
                raise RunFileError(f"model {config.model!r} has no method {config.method}: use predict")
            if not callable(self._model):
                raise RunFileError(f"model {config.model!r} is no function and has no method predict")
        if self._method is not None and not config.features and config.features_from is None:
            raise RunFileError(f"model {config.model!r} is an estimator: say in `features` what it is told")
        where = f"<{setup.name}>"
        lengths = {
            name: parse_duration(getattr(config, name) or "0s", f"{where}: {name}")
            for name in ("latency", "valid_for", "horizon", "embargo")
        }
        self._begins = _instant(config.trained_through, where) + lengths["horizon"] + lengths["embargo"]
        self._spec = SourceSpec(
            name=setup.name,
            kind="signal",
            fields=config.values,
            rule=StampRule(convention="event_time", latency_ns=lengths["latency"], origin=where),
            drives=False,
            valid_for=None if config.valid_for is None else lengths["valid_for"],
            horizon=None if config.horizon is None else lengths["horizon"],
            origin=where,
        )

    @property
    def spec(self) -> SourceSpec:
        """The description of this source."""
        return self._spec

    def open(self, window: Window) -> None:
        """Do nothing: there is no input."""

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield nothing: rows are made by ``evaluate``."""
        return iter(())

    def digest(self) -> str:
        """SHA-256 (hex) of the files that hold what is called by ``module:name``; empty for objects."""
        named = [(self._config.model, self._model), (self._config.features_from, self._features_from)]
        files = [_file(found) for text, found in named if isinstance(text, str)]
        content = b"".join(file.read_bytes() for file in files if file is not None)
        return hashlib.sha256(content).hexdigest() if content else ""

    def evaluate(self, view: Any) -> Mapping[str, Floats]:
        """Return what the model says now, by value, float64 (n,); nothing before it may be asked.

        Args:
            view: What is known now.

        Raises:
            RunError: The model returned something of another shape.
        """
        if view.now_ns < self._begins:
            return {}
        told = compute(self._config.features, view)
        if self._features_from is not None:
            told = self._features_from(view)
        if self._method is None:
            return self._named(self._model(told, view), len(view.symbols))
        matrix = np.column_stack([np.asarray(column, np.float64) for column in told.values()])
        whole = np.isfinite(matrix).all(axis=1)
        out = np.full((len(matrix), len(self._config.values)), np.nan)
        if whole.any():
            out[whole] = self._estimated(self._method, matrix[whole], ", ".join(told))
        return self._named(out, len(matrix))

    def _estimated(self, method: Callable[[Floats], Any], matrix: Floats, features: str) -> Floats:
        """Return what an estimator says of symbols, a row for each and a column for each value."""
        asked = f"{len(matrix)} symbols with {matrix.shape[1]} features ({features})"
        try:
            said = np.asarray(method(matrix), np.float64)
        except Exception as error:
            error.add_note(f"its {self._config.method} was asked about {asked}")
            raise
        where = f"model of signal source {self._spec.name!r}: {self._config.method}"
        if said.ndim == 0 or len(said) != len(matrix):
            raise RunError(f"{where} gave an array of shape {said.shape} for {asked}; return a row for each symbol")
        said = said.reshape(len(matrix), -1)
        if self._config.method == "predict_proba":
            said = said[:, -len(self._config.values) :]
        if said.shape[1] != len(self._config.values):
            what = f"gave {said.shape[1]} columns for {', '.join(self._config.values)}"
            raise RunError(f"{where} {what}; set `values`")
        return said

    def _named(self, said: Any, count: int) -> Mapping[str, Floats]:
        """Return what a model said by the names of values."""
        if isinstance(said, Mapping):
            return said
        values, names = np.asarray(said, np.float64), self._config.values
        if values.shape == (count,) and len(names) == 1:
            return {names[0]: values}
        if values.shape != (count, len(names)):
            what = f"returned an array of shape {values.shape}, expected ({count},)"
            what += f" or ({count}, {len(names)})" if len(names) > 1 else ""
            remedy = "return a number per symbol of view.symbols, NaN where it is unknown"
            raise RunError(f"model of signal source {self._spec.name!r} {what}: {remedy}")
        return {name: values[:, place] for place, name in enumerate(names)}


def _found(given: Any, setup: Setup, key: str) -> Any:
    """Return what ``module:name`` stands for, None after an error, which is reported with the run's others."""
    if isinstance(given, type):
        raise RunFileError(f"{key} was the class {given.__name__}: give an instance of it, fitted where it has to be")
    if not isinstance(given, str):
        return given
    if ":" not in given:
        raise RunFileError(f'{key} was {given!r}: write "module:name", of a module beside the run file')
    return setup.build("model", given, f"signal.{setup.name}.{key}")


def _file(found: object) -> Path | None:
    """Return the source file of a function or of an object's class."""
    target = found if inspect.isroutine(found) or isinstance(found, type) else type(found)
    try:
        return Path(inspect.getfile(target))
    except (OSError, TypeError):
        return None


def _instant(moment: date | datetime | None, where: str) -> int:
    """Return UTC ns; of a date the end of its UTC day, and 0 for None."""
    if moment is None:
        return 0
    later = timedelta(0)
    if not isinstance(moment, datetime):
        moment, later = datetime.combine(moment, time(), UTC), timedelta(days=1)
    if moment.tzinfo is None:
        raise RunFileError(f"{where}: trained_through {moment.isoformat()} has no zone: add one, such as Z")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC) + later) // timedelta(microseconds=1) * 1000
