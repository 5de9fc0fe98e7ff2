"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from motif_fixtures import found, planted  # noqa: F401  (fixtures of the motif stages)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch at one thread: more are slower on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real yeast data; tests skip where it is absent."""
    folder = Path(os.environ.get("CISLEX_MIRROR", ROOT.parent / "shared" / "data"))
    if not (folder / "yeast" / "sacCer3.fa.gz").is_file():
        pytest.skip(f"real data not present in {folder} (set CISLEX_MIRROR)")
    return folder
