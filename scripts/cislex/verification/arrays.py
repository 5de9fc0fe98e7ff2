"""The other HDF5 files by themselves: datasets, dtypes, shapes, checksums, finite numbers, indices."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cislex.errors import offenders
from cislex.files.hdf5_blocks import digest_blocks
from cislex.files.tables import REGION_COLUMNS, open_hdf5, read_regions
from cislex.provenance import digest_strings
from cislex.verification.blocks import checks_of_rows, in_parts
from cislex.verification.findings import FileReport, Results

#: dtype and number of axes of the datasets of ``regions/``.
REGIONS = {f"regions/{name}": ("S" if kind == "str" else "i8", 1) for name, kind in REGION_COLUMNS.items()}
SEQUENCES = {"sequences": ("u1", 3), **REGIONS}
PREDICTIONS = {"predictions/*/*": ("f4", None), "targets/*/*": ("f4", 1), **REGIONS}
_SEQLETS = {
    "seqlets/n_seqlets": ("i", 1), "seqlets/example_idx": ("i", 1), "seqlets/start": ("i", 1),
    "seqlets/end": ("i", 1), "seqlets/is_revcomp": ("b1", 1), "seqlets/source": ("i", 1),
    "seqlets/sequence": ("f", 3), "seqlets/contrib_scores": ("f", 3),
    "seqlets/hypothetical_contribs": ("f", 3),
    "sequence": ("f8", 2), "contrib_scores": ("f8", 2), "hypothetical_contribs": ("f8", 2),
}  # fmt: skip
PATTERNS = {f"*_patterns/pattern_*/{name}": kind for name, kind in _SEQLETS.items()}
PLAN = {
    "backgrounds": ("u1", 2), "settings": ("u1", 1), "sites/sequences": ("u1", 2), "sites/word": ("i8", 1),
    "sites/start": ("i8", 1), "sites/end": ("i8", 1), "sites/contexts": ("i8", 2),
    **{f"sites/{name}": kind for name, kind in REGIONS.items()},
}  # fmt: skip
INSERTED = {"insertions/*": ("f8", 2), "sites/*": ("f8", 2)}
SCORED = {"measures": ("f8", 3), "null": ("f8", 2), "rows": ("i8", 1), "draws": ("i8", None)}
EVOLUTION = {"rounds": ("i8", 2), "sequences": ("u1", 4), "contributions": ("f4", 3), **REGIONS}
TOP = {
    "targets/*/rows": ("i8", 1),
    **{f"targets/*/{allele}_{name}": kind for allele in ("reference", "alternative") for name, kind in {
        "hypothetical": ("f4", 3), "sequences": ("u1", 3), "prediction": ("f4", 1),
        "max_relative_delta": ("f4", 1)}.items()},
}  # fmt: skip
USAGE = {"X": ("f8", 2), "layers/*": ("f8", 2), "obs/*": (None, 1), "var/*": (None, 1)}
CHUNK = {
    "computed": ("b1", 1),
    **{f"targets/*/{name}": ("f4", axes) for name, axes in {
        "hypothetical": 3, "baseline": 2, "prediction": 1, "reference_prediction": 2, "delta": 2,
        "max_relative_delta": 1, "reference_spread": 2, "window_share": 1, "kept_share": 1}.items()},
}  # fmt: skip
Layout = Mapping[str, tuple[str | None, int | None]]


def datasets_in(handle: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every dataset with its path, opened so that damage is named."""
    for name in handle:
        item = handle[name]
        if isinstance(item, h5py.Dataset):
            yield name, item
            continue
        for below, dataset in datasets_in(item):
            yield f"{name}/{below}", dataset


def check_layout(handle: h5py.File, report: FileReport, layout: Layout, *, equal: Iterable[str] = ()) -> None:
    """Check the datasets of a file: all that have to be there, of the right dtype, and no others.

    Parameters
    ----------
    handle, report
        The file.
    layout
        dtype (or its beginning, or kind; None: any) and axes of each dataset; ``*`` stands for names.
    equal
        Patterns of datasets that must have equally many rows.
    """
    there = dict(datasets_in(handle))
    missing = [name for name in layout if "*" not in name and name not in there]
    report.require("datasets", not missing, f"lacks {offenders(missing)}")
    wrong = []
    for name, dataset in there.items():
        found = next((kind for key, kind in layout.items() if fnmatch.fnmatchcase(name, key)), None)
        if found is None:
            wrong.append(f"{name}, which is no dataset of such a file")
            continue
        dtype, axes = found
        fits = dtype is None or dtype in (dataset.dtype.kind, dataset.dtype.str.lstrip("<>|=")) or (
            dtype == "S" and dataset.dtype.kind in "SO"
        )  # fmt: skip
        if not fits or (axes is not None and dataset.ndim != axes):
            wrong.append(f"{name} {dataset.dtype} {dataset.shape}")
    report.require("shapes and dtypes", not wrong, f"has {offenders(wrong)}")
    for key in equal:
        counts = {len(item) for name, item in there.items() if fnmatch.fnmatchcase(name, key)}
        text = f"{key}: {' and '.join(map(str, sorted(counts)))} rows"
        report.require("shapes and dtypes", len(counts) < 2, text)


def check_values(
    handle: h5py.Group, report: FileReport, *, empty: Iterable[str] = (), prefix: str = ""
) -> None:
    """Read every dataset, which compares its checksums; numbers must be finite, except in ``empty``."""
    for name, dataset in datasets_in(handle):
        if dataset.ndim == 0 or len(dataset) == 0:
            continue
        missing = any(fnmatch.fnmatchcase(name, key) for key in empty)
        wrong: list[int] = []
        for low, _high, (values,) in in_parts([dataset]):
            if values.dtype.kind == "f":
                flat = values.reshape(len(values), -1)
                bad = np.isinf(flat) if missing else ~np.isfinite(flat)
                wrong += (low + np.flatnonzero(bad.any(axis=1))).tolist()
        report.require("NaN", not wrong, f"{prefix}{name}: NaN or infinite in rows {offenders(wrong)}")
    report.check("checksums of blocks")


def one_hot_faults(values: NDArray[np.uint8], low: int) -> list[int]:
    """Rows of one-hot sequences (n, 4, L) that are none."""
    wrong = (values.sum(axis=1, dtype=np.uint16) > 1) | (values.max(axis=1) > 1)
    return (low + np.flatnonzero(wrong.any(axis=1))).tolist()


def check_sequences(results: Results, report: FileReport, **_: str) -> None:
    """Check ``sequences.h5`` by itself."""
    with open_hdf5(results.path(report.path), what="sequences", datasets=("sequences", "regions")) as handle:
        check_layout(handle, report, SEQUENCES, equal=("*",))
        check_values(handle["regions"], report, prefix="regions/")
        report.facts["attributes"] = dict(handle.attrs)
        wrong: list[int] = []
        checks = []
        for low, _high, (values,) in in_parts([handle["sequences"]]):
            wrong += one_hot_faults(values, low)
            checks.append(checks_of_rows(values))
        report.facts["bases"] = np.concatenate(checks) if checks else np.zeros(0, np.uint32)
        report.require("one-hot", not wrong, f"sequences: not one-hot in rows {offenders(wrong)}")
        spans = handle["regions/end"][:] - handle["regions/start"][:]
        off = np.flatnonzero(spans != handle["sequences"].shape[2])
        report.require("regions", not len(off), f"regions of another length in rows {offenders(off)}")


def check_predictions(results: Results, report: FileReport, **_: str) -> None:
    """Check ``predictions.h5`` by itself."""
    with open_hdf5(results.path(report.path), what="predictions", datasets=("targets", "regions")) as handle:
        check_layout(handle, report, PREDICTIONS, equal=("*",))
        check_values(handle, report)
        report.facts["attributes"] = dict(handle.attrs)
        folds, wanted = json.loads(handle.attrs["folds"]), json.loads(handle.attrs["targets"])
        lost = [f"{f}/{t}" for f in folds for t in wanted if f"targets/{f}/{t}" not in handle]
        report.require("datasets", not lost, f"lacks targets/ of {offenders(lost)}")


def check_patterns(results: Results, report: FileReport, **_: str) -> None:
    """Check ``modisco.h5`` or ``lexicon.h5`` by itself."""
    with open_hdf5(results.path(report.path), what="patterns") as handle:
        check_layout(handle, report, PATTERNS)
        check_values(handle, report)
        found: dict[str, int] = {}
        wrong = []
        for group in handle:
            for name in handle[group]:
                seqlets = handle[f"{group}/{name}/seqlets"]
                count = int(seqlets["n_seqlets"][0])
                found[f"{group}/{name}"] = count
                sizes = {len(item) for key, item in seqlets.items() if key != "n_seqlets"}
                spans = seqlets["end"][:] - seqlets["start"][:] if count else np.zeros(0)
                if sizes - {count} or (count and not (spans == spans[0]).all()):
                    wrong.append(f"{group}/{name}")
        report.require(
            "seqlets", not wrong, f"n_seqlets, or the spans of seqlets, do not fit in {offenders(wrong)}"
        )
        report.facts |= {"patterns": found, "attributes": dict(handle.attrs)}


def check_plan(results: Results, report: FileReport, **_: str) -> None:
    """Check ``plan.h5`` of in-silico experiments by itself."""
    with open_hdf5(results.path(report.path), what="plan") as handle:
        check_layout(handle, report, PLAN, equal=("sites/*",))
        check_values(handle, report)
        bases = handle["backgrounds"][:]
        report.require("bases", bool((bases < 4).all()), "backgrounds: bases other than 0 to 3")
        report.facts["sites"] = len(handle["sites/word"])
        report.facts["digest_of_plan"] = handle.attrs["digest"]


def check_inserted(results: Results, report: FileReport, **_: str) -> None:
    """Check a chunk of in-silico experiments by itself."""
    _plain(results, report, INSERTED, "insertions")


def check_scored(results: Results, report: FileReport, **_: str) -> None:
    """Check a chunk of scored variants by itself."""
    _plain(results, report, SCORED, "scored variants", empty=("measures", "null"))


def check_top(results: Results, report: FileReport, **_: str) -> None:
    """Check ``top_variants.h5`` by itself."""
    _plain(results, report, TOP, "variants", empty=("*_max_relative_delta",))


def check_evolution(results: Results, report: FileReport, **_: str) -> None:
    """Check ``evolution.h5`` by itself."""
    _plain(results, report, EVOLUTION, "evolution", equal=("*",))


def check_usage(results: Results, report: FileReport, **_: str) -> None:
    """Check ``usage.h5ad`` by itself."""
    _plain(results, report, USAGE, "usage", empty=("X", "layers/*"))


def _plain(
    results: Results, report: FileReport, layout: Layout, what: str, *,
    empty: Iterable[str] = (), equal: Iterable[str] = (),
) -> None:  # fmt: skip
    with open_hdf5(results.path(report.path), what=what) as handle:
        check_layout(handle, report, layout, equal=equal)
        check_values(handle, report, empty=empty)
        report.facts["attributes"] = {key: handle.attrs[key] for key in handle.attrs}


def check_chunk(results: Results, report: FileReport, **_: str) -> None:
    """Check a kept chunk of attributions: its arrays agree with the digests that its job wrote."""
    with open_hdf5(results.path(report.path), what="chunk", datasets=("computed", "targets")) as handle:
        check_layout(handle, report, CHUNK, equal=("*",))
        check_values(handle, report)
        told = json.loads(handle.attrs.get("content_digests", "{}"))
        for target, digests in told.items():
            for name, expected in digests.items():
                text = f"targets/{target}/{name}: its digest differs from the one that its job wrote"
                same = digest_blocks(handle[f"targets/{target}/{name}"].id) == expected
                report.require("digests of datasets", same, text)
        report.facts["digests"] = {
            target: digest_strings(f"{name}: {digest}" for name, digest in digests.items())
            for target, digests in told.items()
        }
        report.facts["attributes"] = dict(handle.attrs)


def regions_fault(handle: h5py.File, other: Any, what: str) -> str | None:
    """How the regions of a file differ from those of another table of regions, or None."""
    own = read_regions(handle)
    if len(own) != len(other):
        return f"has {len(own)} regions, {what} has {len(other)}"
    for column in REGION_COLUMNS:
        differ = np.flatnonzero(own[column].to_numpy() != other[column].to_numpy())
        if len(differ):
            return f"regions/{column} differs from {what} in rows {offenders(differ)}"
    return None
