"""Read one file in a process of its own: what damage does to a library ends that process, and not the check.

``python -m cislex.verification.apart PATH`` reads a bigWig or an HDF5 file with texts of any length. It
imports little, since it is started for each such file whose digest is not known.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from cislex.files.sealed import open_file
from cislex.files.tied import tied_command, tied_environment

#: Seconds that reading may take: what hangs is damaged.
LONGEST = 600


def fault_apart(path: Path) -> str | None:
    """Why a file cannot be read, or None."""
    command = tied_command(__name__, [str(path)])
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=tied_environment(), timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        return f"cannot be read: no answer after {LONGEST} s"
    if done.returncode == 0:
        return None
    return f"cannot be read: {(done.stderr.strip().splitlines() or [f'status {done.returncode}'])[-1]}"


def _read(path: str) -> None:
    if path.endswith(".bw"):
        import pyBigWig

        with pyBigWig.open(path) as track:
            track.header()
            for name, size in track.chroms().items():
                track.values(name, 0, min(size, 1000))
        return
    import h5py

    def read(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            item[()]

    with open_file(path) as handle:
        handle.visititems(read)


if __name__ == "__main__":
    _read(sys.argv[1])
