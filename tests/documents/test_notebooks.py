"""Notebooks are kept without output, and run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
#: It reads the results of a run: tests/integration/test_tutorial.py has them.
NEEDS_RESULTS = "results"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_kept_without_output(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert not [cell.id for cell in cells if cell.outputs or cell.execution_count]


@pytest.mark.filterwarnings("default")  # those of Jupyter are its own
@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path.stem != NEEDS_RESULTS], ids=lambda path: path.stem
)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nbclient", reason="make docs-test has it")
    pytest.importorskip("ipykernel", reason="make docs-test has it")
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "docs" / "site" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "notebooks", module)
    spec.loader.exec_module(module)
    done = nbformat.read(module.run(path.stem, tmp_path), as_version=4)
    shown = [cell for cell in done.cells if cell.cell_type == "code" and cell.outputs]
    assert len(shown) > len(done.cells) // 4
