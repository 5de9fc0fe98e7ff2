"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from motif_fixtures import found, planted  # noqa: F401  (fixtures of the motif stages)

ROOT = Path(__file__).resolve().parents[1]


#: Continuous integration draws the same examples every time; a developer's machine explores.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")


def _seed() -> None:
    """Seed every generator that a test may draw from without saying so."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch at one thread: more are slower on a busy machine. Seeds what wider fixtures draw."""
    torch.set_num_threads(1)
    _seed()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test draws the same numbers, alone or among others: a random weight decides nothing."""
    _seed()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real yeast data; tests skip where it is absent."""
    folder = Path(os.environ.get("CISLEX_MIRROR", ROOT.parent / "shared" / "data"))
    if not (folder / "yeast" / "sacCer3.fa.gz").is_file():
        pytest.skip(f"real data not present in {folder} (set CISLEX_MIRROR)")
    return folder
