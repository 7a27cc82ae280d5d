"""Options and fixtures of the whole suite: the quick run, sample files, and default options for each test."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from xcrater.options import get_option, set_options
from xcrater.raster.sample import sample_data

hypothesis.settings.register_profile(
    "default", derandomize=True, deadline=None, max_examples=50, database=None, print_blob=True
)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000, database=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


CASES = 2
"""Number of cases of each test that a quick run, ``-m "not slow"``, takes."""


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark most cases of tests with many cases as slow: a quick run touches everything but is not exhaustive."""
    cases = defaultdict(list)
    for item in items:
        cases[item.nodeid.partition("[")[0]].append(item)
    for alike in cases.values():
        chosen = {len(alike) * number // CASES for number in range(CASES)}
        for number, item in enumerate(alike):
            if number not in chosen:
                item.add_marker("slow")


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Path]:
    """``sample("moon.tif")`` gives the path of a sample file."""
    return sample_data.__getitem__


@pytest.fixture(autouse=True)
def _default_options() -> Iterator[None]:
    """Undo the options that a test or the example in a docstring sets."""
    with set_options(**{name: get_option(name) for name in ("nvert", "coverage", "memory", "progress")}):
        yield
