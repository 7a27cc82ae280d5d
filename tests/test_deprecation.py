"""Arguments as they were passed before."""

from __future__ import annotations

import inspect

import pytest

from xcrater._deprecation import deprecated_arguments

pytestmark = pytest.mark.nojit


@deprecated_arguments(renamed={"region": "regions"}, positional="kind")
def call(cdb, regions, *, kind="any", coverage=None):
    """What was received."""
    return cdb, regions, kind, coverage


def test_the_new_manner_passes_without_a_warning():
    assert call(1, "rim", kind="count") == (1, "rim", "count", None)
    assert call(1, regions="rim") == (1, "rim", "any", None)


def test_a_renamed_argument_is_passed_on():
    with pytest.warns(DeprecationWarning, match=r"renamed region=; type call\(..., regions=...\)") as caught:
        assert call(1, region="rim") == (1, "rim", "any", None)
    assert [w.filename for w in caught] == [__file__]


def test_an_argument_by_position_is_passed_on():
    with pytest.warns(DeprecationWarning, match=r"kind by keyword only; type call\(..., kind='count'\)") as caught:
        assert call(1, "rim", "count") == (1, "rim", "count", None)
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, "rim", "any", None), {}),
        ((1, "rim", "any"), {"kind": "any"}),
        ((1, "rim"), {"regions": "rim"}),
        ((1, "rim"), {"sort": 1}),
    ],
)
def test_what_never_worked_is_refused(args, kwargs):
    with pytest.raises(TypeError):
        call(*args, **kwargs)


def test_the_signature_is_the_function_s_own():
    assert list(inspect.signature(call).parameters) == ["cdb", "regions", "kind", "coverage"]
    assert call.__doc__ == "What was received."
