"""Optional dependencies are imported on use, and a missing one names the extra to install."""

from __future__ import annotations

import json.decoder
import re

import pytest

from xcrater._optional import require


def test_gives_the_module_itself():
    assert require("json.decoder", extra="vector") is json.decoder


@pytest.mark.parametrize("module", ["no_such_module", "no_such_module.part"])
def test_a_missing_module_names_the_extra(module):
    with pytest.raises(ImportError, match=re.escape("no_such_module is needed here")) as caught:
        require(module, extra="vector")
    assert 'pip install "xcrater[vector]"' in str(caught.value)
    assert caught.value.name == "no_such_module"


@pytest.mark.parametrize("statement", ["import no_such_module", "raise ImportError('broken')", "import broke"])
def test_an_error_inside_an_installed_module_is_not_hidden(statement, tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text(statement)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError) as caught:
        require("broken_module", extra="vector")
    assert "pip install" not in str(caught.value)
