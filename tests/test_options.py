"""Options are validated, apply to all threads, and are restored at the end of a block."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from xcrater.errors import XcraterError
from xcrater.options import OPTION, get_coverage, get_nvert, get_option, set_options


def test_defaults_are_those_of_craterpy():
    assert get_option("nvert") == 32
    assert get_option("coverage") == "all_touched"


def test_a_call_sets_options_permanently():
    set_options(nvert=64, coverage="center")
    assert (get_option("nvert"), get_option("coverage")) == (64, "center")
    set_options(nvert=None)
    assert (get_option("nvert"), get_option("coverage")) == (None, "center")


def test_a_block_restores_what_it_set_and_nothing_else():
    with set_options(nvert=8):
        with set_options(nvert=16):
            set_options(coverage="center")
            assert get_option("nvert") == 16
        assert get_option("nvert") == 8
    assert (get_option("nvert"), get_option("coverage")) == (32, "center")


def test_a_block_restores_after_an_error():
    with pytest.raises(ZeroDivisionError), set_options(nvert=None):
        _ = 1 // 0
    assert get_option("nvert") == 32


@pytest.mark.parametrize("nvert", [4, np.int16(4)])
def test_nvert_becomes_a_plain_integer(nvert):
    set_options(nvert=nvert)
    assert type(get_option("nvert")) is int


@pytest.mark.parametrize("nvert", [3, 33, -1, 0, True, 32.0, "32"])
def test_bad_nvert_is_refused(nvert):
    with pytest.raises(XcraterError, match="expected an even number from 4 on, or None"):
        set_options(nvert=nvert)


@pytest.mark.parametrize("coverage", ["precise", "centre", "", None, 1])
def test_bad_coverage_lists_the_accepted(coverage):
    with pytest.raises(ValueError, match=f"received coverage={coverage!r}; expected one of 'all_touched', 'center'"):
        set_options(coverage=coverage)


@pytest.mark.parametrize(
    ("memory", "number"),
    [
        (1, 1), (np.int64(4096), 4096), ("100", 100), ("1 B", 1), ("2kB", 2000), (" 1.5 GiB ", 3 * 2**29),
        ("512 MiB", 2**29), ("2 gb", 2 * 10**9), ("1tib", 2**40),
    ],
)  # fmt: skip
def test_memory_becomes_a_number_of_bytes(memory, number):
    set_options(memory=memory)
    assert get_option("memory") == number
    assert type(get_option("memory")) is int


@pytest.mark.parametrize("memory", [0, -1, True, None, 1.5, "", "GiB", "-1 GB", "1 GiBit", "1 2", "0.1 B", "nan"])
def test_bad_memory_is_refused(memory):
    with pytest.raises(XcraterError, match="expected a number of bytes, or a text such as '512 MiB'"):
        set_options(memory=memory)


def test_no_option_is_set_if_one_value_is_bad():
    with pytest.raises(XcraterError):
        set_options(nvert=8, coverage="precise")
    assert get_option("nvert") == 32


@pytest.mark.parametrize(
    ("name", "hint"), [("nverts", "did you mean 'nvert'"), ("x", "the options are nvert, coverage, memory")]
)
def test_unknown_option(name, hint):
    with pytest.raises(XcraterError, match=f"unknown option '{name}'; {hint}"):
        set_options(**{name: 1})
    with pytest.raises(XcraterError, match=f"unknown option '{name}'; {hint}"):
        get_option(name)


def test_all_threads_see_the_same_options():
    seen = []
    with set_options(nvert=12):
        thread = threading.Thread(target=lambda: seen.append(get_option("nvert")))
        thread.start()
        thread.join()
    assert seen == [12]


def test_the_default_memory_is_the_documented_one():
    assert 'default "1 GiB"' in (set_options.__doc__ or "")
    assert get_option("memory") == 2**30


def test_arguments_that_are_not_given_are_taken_from_the_options():
    with set_options(nvert=12, coverage="center"):
        assert (get_nvert(OPTION), get_coverage(None)) == (12, "center")
        assert (get_nvert(None), get_nvert(8), get_coverage("exact")) == (None, 8, "exact")
    with pytest.raises(XcraterError, match="received coverage='some'"):
        get_coverage("some")
    assert repr(OPTION) == "<default>"
