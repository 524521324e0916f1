"""Put the reference where its tests can import it."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference():
    """The module of the reference engine."""
    path = Path(__file__).with_name("reference_engine.py")
    spec = importlib.util.spec_from_file_location("reference_engine", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference_engine"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def repository_root():
    """The root of the repository."""
    return Path(__file__).resolve().parents[2]
