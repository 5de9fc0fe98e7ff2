"""Run notebooks of docs/notebooks by nbclient, and keep what they show in build/notebooks for the site.

Run: .venv-docs/bin/python docs/site/notebooks.py [NAME …]      (`make docs-notebooks`: all of them)
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
SOURCES, EXECUTED = ROOT / "docs" / "notebooks", ROOT / "build" / "notebooks"


def run(name: str, out: Path = EXECUTED) -> Path:
    """Run a notebook in the environment of this Python; an error in a cell is an error here."""
    notebook = nbformat.read(SOURCES / f"{name}.ipynb", as_version=4)
    # The package of this checkout; a reader has installed it.
    os.environ["PYTHONPATH"] = str(ROOT / "scripts")
    place = {"metadata": {"path": str(out)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    nbformat.write(notebook, out / f"{name}.ipynb")
    return out / f"{name}.ipynb"


if __name__ == "__main__":
    EXECUTED.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or sorted(path.stem for path in SOURCES.glob("*.ipynb")):
        began = time.perf_counter()
        print(f"{run(name).relative_to(ROOT)}, {time.perf_counter() - began:.0f} s")
