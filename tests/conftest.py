from __future__ import annotations

import os
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


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Path]:
    """``sample("moon.tif")``: path of a file of the sample data."""
    return sample_data.__getitem__


@pytest.fixture(autouse=True)
def _default_options() -> Iterator[None]:
    """Undo the options that a test or a docstring's example sets."""
    with set_options(**{name: get_option(name) for name in ("nvert", "coverage", "memory")}):
        yield
