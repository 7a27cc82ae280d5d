"""The example notebooks run and print the output saved in them."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def text(cell) -> str:
    """What a cell prints, without the progress bars that appear on slow machines."""
    printed = "\n".join(
        output["data"].get("text/plain", "") if "data" in output else output.get("text", "")
        for output in cell.get("outputs", [])
        if not ("text" in output and "% Completed" in output["text"])
    )
    return printed


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs_and_prints_the_saved_output(path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as in a notebook
    notebook = nbformat.read(path, as_version=4)
    shown = [text(cell) for cell in notebook.cells if cell.cell_type == "code"]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    run = [text(cell) for cell in notebook.cells if cell.cell_type == "code"]
    assert run == shown
    assert any("image/png" in o.get("data", {}) for c in notebook.cells for o in c.get("outputs", []))
