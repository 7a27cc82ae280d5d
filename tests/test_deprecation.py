"""Earlier ways to pass arguments still work, with a warning that names the line to type."""

from __future__ import annotations

import inspect

import pytest

from xcrater._deprecation import deprecated_arguments

pytestmark = pytest.mark.nojit


@deprecated_arguments(renamed={"region": "regions"}, positional="kind")
def call(cdb, regions, *, kind="any", coverage=None):
    """Return the arguments received."""
    return cdb, regions, kind, coverage


def test_the_current_form_gives_no_warning():
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
def test_arguments_that_were_never_valid_are_refused(args, kwargs):
    with pytest.raises(TypeError):
        call(*args, **kwargs)


def test_the_signature_is_that_of_the_function():
    assert list(inspect.signature(call).parameters) == ["cdb", "regions", "kind", "coverage"]
    assert call.__doc__ == "Return the arguments received."
