"""``attributions.h5`` by itself: shapes, numbers, completeness, the gate, and what storage promises.

The large arrays are read once, in blocks; of each row a checksum is kept, by which two files are compared.
"""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cislex.chunks.files import KEPT_SHARE, SPREAD, WINDOW_SHARE
from cislex.chunks.gate import Gate, over_limit
from cislex.chunks.thinning import CLEARED
from cislex.errors import CislexError, StorageError, offenders
from cislex.files.tables import open_hdf5, read_regions
from cislex.files.tied import tied_command, tied_environment
from cislex.files.unpacked_rows import unpack_rows
from cislex.verification.blocks import checks_of_rows, in_parts, rows_at_once
from cislex.verification.findings import FileReport, Results

#: Datasets with a number for each base, where they are there.
WIDE = ("hypothetical", "baseline", SPREAD, "fold_spread")
#: dtype of each dataset, and letters of its shape: N regions, L columns, F folds, R references.
LAYOUT = {
    "sequences": ("u1", "N4L"),
    "hypothetical": ("f4", "N4L"),
    "baseline": ("f4", "NL"),
    "prediction": ("f4", "N"),
    "reference_prediction": ("f4", "N"),
    "delta": ("f4", "NFR"),
    "max_relative_delta": ("f4", "N"),
    SPREAD: ("f4", "NL"),
    "fold_spread": ("f4", "NL"),
    "fold": ("i4", "N"),
    "rows": ("i8", "N"),
    "window_start": ("i8", "N"),
    WINDOW_SHARE: ("f4", "N"),
    KEPT_SHARE: ("f4", "N"),
}
#: What is gathered of each row, and bytes of files from which several processes share their rows.
GATHERED, SHARED = ("sums", "sizes", "known", "wide", "bases"), 1 << 26
NEEDED = ("sequences", "hypothetical", "baseline", "prediction", "rows", "regions")
ATTRIBUTES = ("method", "target", "folds", "source_digest", "model_digests", "on_fail", "n_over_limit")
#: Contributions add up to the difference of predictions to this share of the sum of their sizes.
ROUNDING = 2e-5
#: Relative error of values that are rounded to other types.
ROUNDED = {"float32": 0.0, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def check_attributions(results: Results, report: FileReport, **_: str) -> None:
    """Check ``attributions.h5``, or ``attributions.all.h5``, by itself."""
    with open_hdf5(results.path(report.path), what="attributions") as handle:
        if not _check_layout(handle, report):
            report.facts["unreadable"] = True
            return
        attributes = dict(handle.attrs)
        report.facts["rows"] = unpack_rows(handle["rows"], 0, len(handle["rows"]))
        report.facts["attributes"] = attributes
        _check_rows(handle, report)
        found = _Content(handle, attributes)
        found.gather(results.path(report.path), results.threads)
        found.tell(report)
        for name in handle:
            if name not in (*found.names, "regions") and handle[name].dtype.kind == "f":
                _check_finite(handle[name], report)
        _check_small(handle, report, found)
        _check_gate(handle, report, attributes)


def _check_layout(handle: h5py.File, report: FileReport) -> bool:
    """Whether all datasets have the dtypes and shapes that docs/output.md promises."""
    missing = [name for name in NEEDED if name not in handle]
    report.require("datasets", not missing, f"lacks {', '.join(missing)}")
    lost = [name for name in ATTRIBUTES if name not in handle.attrs]
    report.require("attributes", not lost, f"lacks the attributes {', '.join(lost)}")
    if missing or lost:
        return False
    n, length = len(handle["rows"]), int(handle["sequences"].shape[-1])
    folds = 1 if "fold" in handle else len(json.loads(handle.attrs["folds"]))
    sizes = {"N": n, "4": 4, "L": length, "F": folds}
    if "delta" in handle and handle["delta"].ndim == 3:
        sizes["R"] = handle["delta"].shape[2]
    wrong = []
    for name in handle:
        if name == "regions":
            wrong += [f"regions/{key} {len(handle[name][key])} rows" for key in handle[name]
                      if len(handle[name][key]) != n]  # fmt: skip
            continue
        if name not in LAYOUT:
            wrong.append(f"{name}, which is no dataset of such a file,")
            continue
        dtype, letters = LAYOUT[name]
        shape = tuple(sizes.get(letter, -1) for letter in letters)
        if handle[name].dtype != np.dtype(dtype) or handle[name].shape != shape:
            wrong.append(f"{name} {handle[name].dtype} {handle[name].shape}")
    told = f"has {offenders(wrong)}; expected N = {n}, L = {length} as in rows and sequences"
    return report.require("shapes and dtypes", not wrong, told)


def _check_rows(handle: h5py.File, report: FileReport) -> None:
    own = report.facts["rows"]
    total = int(handle.attrs.get("n_regions", len(own)))
    inside = len(own) == 0 or (own[0] >= 0 and (np.diff(own) > 0).all())
    report.require("rows", bool(inside), "rows are not ascending, each once")
    if handle.attrs["on_fail"] != "drop" or report.kind == "complete attributions":
        whole = np.array_equal(own, np.arange(total))
        report.require("rows", whole, f"has {len(own)} rows, expected all of {total}")


@dataclass
class _Content:
    """What is gathered of the large arrays."""

    handle: h5py.File
    attributes: dict[str, Any]

    def __post_init__(self) -> None:
        self.names = ["hypothetical", "sequences", *(name for name in WIDE[1:] if name in self.handle)]
        n = len(self.handle["rows"])
        self.sums, self.sizes = np.zeros(n), np.zeros(n)
        self.known = np.ones(n, bool)
        self.wide = np.zeros(n, np.uint32)
        self.bases = np.zeros(n, np.uint32)
        self.faults: dict[str, list[int]] = {}
        storage = str(self.attributes.get("round_to", "float32"))
        self.cleared = CLEARED.get(storage, 0)
        self.error = ROUNDED.get(storage, 0.0)
        self.keep = self.attributes.get("keep")

    def gather(self, path: Path, processes: int) -> None:
        """Look at all rows: of large files each process at its share."""
        n, step = len(self.sums), rows_at_once([self.handle[name] for name in self.names])
        parts = processes if self.handle.id.get_filesize() > SHARED else 1
        edges = [round(part * n / parts / step) * step for part in range(parts)] + [n]
        spans = [span for span in itertools.pairwise(edges) if span[0] < span[1]]
        with ExitStack() as stack:
            others = [stack.enter_context(_started(path, *span)) for span in spans[1:]]
            for span in spans[:1]:
                self.read(*span)
            for other, (low, high) in zip(others, spans[1:], strict=True):
                data, said = other.communicate()
                if other.returncode:
                    raise StorageError((said.decode().strip().splitlines() or ["reading was ended"])[-1])
                with np.load(io.BytesIO(data)) as found:
                    for name in GATHERED:
                        getattr(self, name)[low:high] = found[name]
                    for what, wrong in json.loads(str(found["faults"])).items():
                        self.faults.setdefault(what, []).extend(wrong)

    def read(self, start: int, stop: int) -> None:
        """Look at some rows, of any number."""
        for low, high, arrays in in_parts([self.handle[name] for name in self.names], start, stop):
            self.take(low, high, dict(zip(self.names, arrays, strict=True)))

    def take(self, low: int, high: int, arrays: dict[str, NDArray[Any]]) -> None:
        """Look at some rows."""
        hypothetical, sequences = arrays["hypothetical"], arrays["sequences"]
        for name, values in arrays.items():
            if values.dtype.kind == "f":
                self._note(f"{name}: NaN or infinite", low, ~_finite(values))
                if self.cleared:
                    tail = values.view(np.uint32) & np.uint32((1 << self.cleared) - 1)
                    digits = f"{name}: more digits than {self.attributes['round_to']}"
                    excess: NDArray[np.bool_] = (tail.reshape(len(values), -1) != 0).any(axis=1)
                    self._note(digits, low, excess)
        total = sequences.sum(axis=1, dtype=np.uint8)
        wrong: NDArray[np.bool_] = ((total > 1) | (sequences.max(axis=1) > 1)).any(axis=1)
        self._note("sequences: not one-hot", low, wrong)
        self.known[low:high] = (total == 1).all(axis=1)
        own = np.einsum("ncl,ncl->nl", hypothetical, sequences, dtype=np.float32, casting="unsafe")
        self.sums[low:high] = own.sum(axis=1, dtype=np.float64)
        self.sizes[low:high] = np.abs(own).sum(axis=1, dtype=np.float64)
        if self.keep is not None:
            there = hypothetical.any(axis=1)
            for name in self.names[2:]:
                there |= arrays[name] != 0
            self._note(f"more than {self.keep} positions are kept", low, there.sum(axis=1) > int(self.keep))
        self.bases[low:high] = checks_of_rows(sequences)
        self.wide[low:high] = checks_of_rows(*(arrays[name] for name in self.names if name != "sequences"))

    def _note(self, what: str, low: int, wrong: NDArray[np.bool_]) -> None:
        if wrong.any():
            self.faults.setdefault(what, []).extend((low + np.flatnonzero(wrong)).tolist())

    def tell(self, report: FileReport) -> None:
        """Say what was found."""
        for name in ("checksums of blocks", "NaN", "one-hot"):
            report.check(name)
        if self.cleared or self.keep is not None:
            report.check("round_to, keep")
        for what, wrong in self.faults.items():
            report.faults.append(f"{what} in rows {offenders(wrong)}")
        report.facts |= {"wide": self.wide, "bases": self.bases}


def _finite(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have finite values only: their sum tells, unless it overflows itself."""
    flat = values.reshape(len(values), -1)
    sums = flat.sum(axis=1)
    found: NDArray[np.bool_] = np.isfinite(sums)
    for row in np.flatnonzero(~found):
        found[row] = np.isfinite(flat[row]).all()
    return found


def _check_finite(dataset: h5py.Dataset, report: FileReport) -> None:
    name = str(dataset.name).strip("/")
    wrong = [
        low + row
        for low, _, (values,) in in_parts([dataset])
        for row in np.flatnonzero(~_finite(values)).tolist()
    ]
    report.require("NaN", not wrong, f"{name}: NaN or infinite in rows {offenders(wrong)}")


def _check_small(handle: h5py.File, report: FileReport, found: _Content) -> None:
    """Completeness from the numbers that are stored, shares, and the regions."""
    n = len(handle["rows"])
    read_regions(handle)
    for name in (WINDOW_SHARE, KEPT_SHARE):
        if name in handle:
            share = unpack_rows(handle[name], 0, n)
            wrong = np.flatnonzero((share < -1e-6) | (share > 1 + 1e-5))
            report.require("shares", not len(wrong), f"{name}: not in 0 to 1 in rows {offenders(wrong)}")
    if "delta" not in handle:
        report.skip("completeness (this method promises none)")
        return
    largest, worst = unpack_rows(handle["max_relative_delta"], 0, n), np.empty(n)
    mean = np.empty(n)
    for low, high, (delta,) in in_parts([handle["delta"]]):
        mean[low:high] = delta.mean(axis=(1, 2), dtype=np.float64)
        worst[low:high] = np.abs(delta).max(axis=(1, 2), initial=0)
    wrong = np.flatnonzero((largest < 0) | ((worst > 0) != (largest > 0)) & (worst > 1e-30))
    report.require(
        "delta",
        not len(wrong),
        f"max_relative_delta does not belong to delta in rows {offenders(wrong)}",
    )
    if "window_start" in handle or found.keep is not None or "reference_prediction" not in handle:
        stored = "a window or the largest contributions are stored"
        report.skip(f"completeness from the stored numbers (only {stored})")
        return
    predicted, reference = (
        unpack_rows(handle[name], 0, n).astype(np.float64) for name in ("prediction", "reference_prediction")
    )
    scale = found.sizes + np.abs(predicted) + np.abs(reference)
    off = np.abs(found.sums - (predicted - reference) - mean)
    wrong = np.flatnonzero((off > (ROUNDING + found.error) * scale + 1e-12) & found.known)
    told = (
        f"contributions do not add up to prediction - reference_prediction + delta in rows {offenders(wrong)}"
    )
    report.require("completeness", not len(wrong), told)


def _check_gate(handle: h5py.File, report: FileReport, attributes: dict[str, Any]) -> None:
    """Whether the gate, as the file says it was, passed these regions."""
    n, policy = len(handle["rows"]), str(attributes["on_fail"])
    gate = Gate(float(attributes["max_relative_delta_limit"]), policy)
    if "max_relative_delta" not in handle:
        return
    errors = unpack_rows(handle["max_relative_delta"], 0, n)
    over, told = int(over_limit(errors, gate, n).sum()), int(attributes["n_over_limit"])
    total = int(attributes.get("n_regions", n))
    if report.kind == "attributions" and policy == "drop":
        text = f"{over} regions are over the limit of {gate.max_relative_delta:g}, which were to be dropped"
        report.require("gate", over == 0, text)
        report.require("gate", n == total - told, f"has {n} regions, expected {total} - {told} dropped")
        return
    text = f"{over} regions are over the limit of {gate.max_relative_delta:g}, n_over_limit is {told}"
    report.require("gate", over == told, text)
    if policy == "error" and report.kind == "attributions":
        report.require("gate", over == 0, f"{over} regions are over the limit, which is an error (on_fail)")


def _started(path: Path, low: int, high: int) -> subprocess.Popen[bytes]:
    """A process that looks at some rows."""
    command = tied_command(__name__, [str(path), str(low), str(high)])
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=tied_environment())


def _look(path: str, low: int, high: int) -> None:
    """Write what is gathered of some rows to standard output."""
    with open_hdf5(path, what="attributions") as handle:
        found = _Content(handle, dict(handle.attrs))
        found.read(low, high)
    arrays = {name: getattr(found, name)[low:high] for name in GATHERED}
    buffer = io.BytesIO()
    np.savez(buffer, faults=np.array(json.dumps(found.faults)), **arrays)
    sys.stdout.buffer.write(buffer.getvalue())


if __name__ == "__main__":
    try:
        _look(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    except CislexError as error:
        raise SystemExit(str(error)) from None
