"""One-hot sequences given directly in HDF5 and NumPy files: which are refused with which words, or read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bad_inputs.case import bad, folder, packed

LENGTH = 40
CODES = np.random.default_rng(3).integers(0, 4, (6, LENGTH))
X = np.eye(4, dtype=np.int8)[CODES].transpose(0, 2, 1)


def hdf5(cut: int = 0, **datasets: Any) -> Callable[[Path], object]:
    """A file of some datasets, perhaps without its last bytes."""

    def make(path: Path) -> None:
        with h5py.File(path, "w") as handle:
            for name, value in datasets.items():
                handle[name] = value
        path.write_bytes(path.read_bytes()[: -cut or None])

    return make


def virtual(path: Path) -> None:
    """A virtual dataset of a file that is not there."""
    layout = h5py.VirtualLayout((6, 4, LENGTH), "i1")
    layout[:] = h5py.VirtualSource("gone.h5", "x", (6, 4, LENGTH))
    with h5py.File(path, "w") as handle:
        handle.create_virtual_dataset("x", layout)


def flipped(path: Path) -> None:
    """One wrong byte in a dataset with checksums."""
    with h5py.File(path, "w") as handle:
        data = handle.create_dataset("x", data=X, chunks=(6, 4, LENGTH), fletcher32=True)
        place = data.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 5] ^= 1
    path.write_bytes(content)


def numpy(values: Any, *, cut: int = 0) -> Callable[[Path], object]:
    """An .npy file."""

    def make(path: Path) -> None:
        with open(path, "wb") as handle:
            np.save(handle, values, allow_pickle=True)
        path.write_bytes(path.read_bytes()[: -cut or None])

    return make


def _changed(row: int, value: float) -> Any:
    values = X.astype(np.float32)
    values[row, :, 7] = value
    return values


BIG = hdf5(x=np.repeat(X, 40, axis=0), cut=9000)

# fmt: off
#: fault, file, what must be read, when
BAD = [
    bad("empty file", b"", "regions.mine.hdf5: x.h5 is empty"),
    bad("text", "chr1\t1\t5\n", "x.h5 is neither HDF5 nor a NumPy file (.npy, .npz)", "it begins with b'chr1"),
    bad("gzip", packed(b"\x89HDF"), "x.h5 is neither HDF5 nor a NumPy file"),
    bad("git-lfs pointer", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    bad("folder", folder, "regions.mine.hdf5: x.h5 is a folder; expected a file"),
    bad("truncated", BIG, "x.h5 is not a complete HDF5 file", when="job"),
    bad("flipped bit", flipped, "x.h5: /x, rows 0 to 6: cannot be read", "damaged", when="job"),
    bad("missing dataset", hdf5(y=X), "x.h5: no dataset 'x'", "it has y (6, 4, 40)", when="job"),
    bad("text in place of numbers", hdf5(x=np.full((6, 4, 40), b"A")), "expected numbers (N, 4, L)", when="job"),
    bad("two dimensions", hdf5(x=CODES), "expected numbers (N, 4, L) or (N, L, 4), found int64 (6, 40)", when="job"),
    bad("no rows", hdf5(x=X[:0]), "expected numbers (N, 4, L) or (N, L, 4), found int8 (0, 4, 40)", when="job"),
    bad("no axis of four", hdf5(x=np.zeros((6, 5, 40))), "expected (N, 4, L) or (N, L, 4)", when="job"),
    bad("both axes of four", hdf5(x=X[:, :, :4]), "fits both axis orders; set axes: n4l or nl4", when="job"),
    bad("other length", hdf5(x=X[:, :, :30]), "sequences of 30 bp; expected 40 bp, the model's input", when="job"),
    bad("not one-hot", hdf5(x=_changed(2, 0.5)), "not one-hot at row 2 position 7", "malformed: drop", when="job"),
    bad("NaN", hdf5(x=_changed(1, np.nan)), "not one-hot at row 1 position 7", "found [nan", when="job"),
    bad("dead soft link", hdf5(x=h5py.SoftLink("/gone")), "x is a soft link to /gone, which does not", when="job"),
    bad("dead external link", hdf5(x=h5py.ExternalLink("no.h5", "x")), "an external link to x of no.h5", when="job"),
    bad("group", hdf5(**{"x/y": X}), "no dataset 'x'; it has x/y (6, 4, 40)", when="job"),
    bad("virtual without its source", virtual, "x is a virtual dataset of 1 sources", "no file gone.h5", when="job"),
    bad("NumPy objects", numpy(np.array([{}])), "without dtype=object", when="job", name="x.npy"),
    bad("cut NumPy file", numpy(X, cut=50), "x.npy is not a complete NumPy file", when="job", name="x.npy"),
]
# fmt: on

# fmt: off
#: All of these hold the same six sequences; rows that are not one-hot, and the first ones again, are dropped.
GOOD: dict[str, tuple[str, Any, dict[str, Any], dict[str, int]]] = {
    "(N, 4, L)": ("x.h5", hdf5(x=X), {}, {}),
    "(N, L, 4)": ("x.h5", hdf5(x=X.transpose(0, 2, 1)), {}, {}),
    "float32": ("x.h5", hdf5(x=X.astype("f4")), {}, {}),
    "boolean": ("x.h5", hdf5(x=X.astype(bool)), {}, {}),
    "soft link": ("x.h5", hdf5(z=X, x=h5py.SoftLink("/z")), {}, {}),
    "NumPy": ("x.npy", numpy(X), {}, {}),
    "duplicates": ("x.h5", hdf5(x=np.concatenate([X, X[:2]])), {"deduplicate": "exact"}, {"duplicate": 2}),
    "malformed: drop": ("x.h5", hdf5(x=np.concatenate([X, np.ones((3, 4, LENGTH))])), {"malformed": "drop"}, {"malformed": 3}),
}
# fmt: on

#: fault, file, what must be read: signal of bigWig files, and labels of HDF5 files
# fmt: off
BAD_SIGNAL = [
    bad("empty file", "", "analyses.first.labels.t.bigwig: s.bw is empty"),
    bad("bedGraph", "chr1\t0\t9\t1.5\n", "s.bw is not a bigWig file: it begins with b'chr1"),
    bad("bigBed", b"\xeb\xf2\x89\x87" + bytes(60), "s.bw is bigBed; expected bigWig"),
    bad("web page", "<HTML>", "s.bw is a web page"),
    bad("folder", folder, "s.bw is a folder; expected a file"),
]
# fmt: on
