"""Put the workloads where their tests can import them."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def workloads():
    """The module of the workloads."""
    path = Path(__file__).with_name("workloads.py")
    spec = importlib.util.spec_from_file_location("performance_workloads", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module
