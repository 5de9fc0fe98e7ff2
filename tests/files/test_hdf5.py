"""A disk that is full in the middle of an HDF5 file is an error with advice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from cislex.files.hdf5 import new_hdf5

ROOT = Path(__file__).resolve().parents[2]
FULL = """
import resource, signal, sys
import numpy as np
from cislex.runtime.jobs import tell
from cislex.files.hdf5 import new_hdf5
from cislex.files.tables import atomic_path, create_array
sys.excepthook = tell
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
rng = np.random.default_rng(0)
with atomic_path(sys.argv[1]) as temporary, new_hdf5(temporary) as handle:
    values = create_array(handle, "a", (300, 4, 140), "f4")
    for row in range(0, 300, 10):
        values[row : row + 10] = rng.random((10, 4, 140))
        if row == 250 and len(sys.argv) > 2:
            raise ValueError("something else")
    handle.attrs["after"] = "all"
"""


def test_a_file_is_what_hdf5_writes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((50, 4, 30)).astype(np.float32)
    with new_hdf5(tmp_path / "a.h5") as handle:
        handle.create_dataset("values", data=values, compression="gzip", chunks=(7, 4, 30))
        handle.attrs["note"] = "é"
        np.testing.assert_array_equal(handle["values"][10:20], values[10:20])
    with h5py.File(tmp_path / "a.h5") as handle:
        np.testing.assert_array_equal(handle["values"][:], values)
        assert handle.attrs["note"] == "é"


@pytest.mark.parametrize("more", [[], ["and something else goes wrong"]])
def test_a_refused_write_is_an_error_and_no_crash(tmp_path: Path, more: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "chunk.h5", *more],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    said = done.stderr.splitlines()[-1]
    assert "StorageError: the file is too large for ulimit -f or the file system, while writing" in said
    assert "h5py" not in done.stderr
    assert not list(tmp_path.iterdir())
