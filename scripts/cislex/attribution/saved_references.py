"""References saved to a file and replayed from it, never whole in memory.

A row is found by its sequence, not by its number, so that any part of the sequences, in any order and in
batches of any size, gets the references that were saved for it, and another sequence gets an error.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.attribution.references import FixedReferences, References, make_references
from cislex.attribution.validation import check_seeds, check_sequences
from cislex.errors import InputError, StorageError, offenders
from cislex.files.hdf5 import new_hdf5
from cislex.files.tables import FORMAT_VERSION, atomic_path, open_hdf5, write_regions
from cislex.provenance import digest_strings, to_attributes, versions

#: Datasets of a file of references.
_DATASETS = ("references", "sequence_digests", "reference_digests")
#: Bytes of references made at once when they are saved.
_BLOCK_BYTES = 1 << 26


def save_references(
    path: str | Path,
    references: References | Tensor | NDArray[Any],
    sequences: Any,
    *,
    seeds: Any = None,
    regions: pd.DataFrame | None = None,
    block: int | None = None,
) -> None:
    """Make the references of each sequence and save them, block by block.

    Parameters
    ----------
    path
        HDF5 file, written whole or not at all: ``references`` (N, R, 4, L), uint8 where one-hot and
        float32 otherwise, digests of each row's sequence and references, ``seeds`` and ``regions``.
    references
        What to make, or a tensor (N, R, 4, L) or (R, 4, L).
    sequences
        (N, 4, L) one-hot.
    seeds
        (N,) whole numbers, as of ``attribute``.
    regions
        N rows ``chrom, start, end, name, strand``, kept for the reader.
    block
        Sequences at once; by default about 64 MiB of references.

    Raises
    ------
    InputError
        The shapes do not agree; or a sequence occurs twice, with different references and without
        different seeds, so that a replay could not tell which are meant.

    Examples
    --------
    >>> save_references(folder / "saved.h5", DinucleotideShuffle(n=3), sequences)
    >>> attribute(model, sequences, DeepLiftShap(load_references(folder / "saved.h5"))).delta.shape
    torch.Size([4, 3])
    """
    x = check_sequences(sequences)
    checked = check_seeds(seeds, len(x))
    chosen = FixedReferences(references) if isinstance(references, Tensor | np.ndarray) else references
    if not len(x):
        raise InputError(f"{path}: found no sequences, expected at least one")
    if regions is not None and len(regions) != len(x):
        raise InputError(f"regions: found {len(regions)} rows, expected {len(x)}, one per sequence")
    first = _make(chosen, x, checked, slice(0, 1))
    step = block or max(1, _BLOCK_BYTES // first.numel())
    digests = _digests(x.numpy())
    made_digests: list[str] = []
    with atomic_path(path) as temporary, new_hdf5(temporary) as handle:
        saved: h5py.Dataset | None = None
        for start in range(0, len(x), step):
            made = _make(chosen, x, checked, slice(start, start + step)).cpu().numpy()
            saved = _dataset(handle, len(x), made) if saved is None else saved
            if made.dtype != saved.dtype and saved.dtype == np.uint8:
                raise InputError(
                    f"references: found values other than 0 and 1 from sequence {start} on, but only those "
                    f"before; what to do: save in one block (block={len(x)})"
                )
            saved[start : start + len(made)] = made
            made_digests += _digests(made.astype(saved.dtype))
        _check_twins(digests, made_digests, checked)
        handle["sequence_digests"] = np.array(digests, dtype="S32")
        handle["reference_digests"] = np.array(made_digests, dtype="S32")
        if checked is not None:
            handle["seeds"] = checked
        if regions is not None:
            write_regions(handle, regions)
        facts = {"format_version": FORMAT_VERSION, "made_from": _name(references), "versions": versions()}
        facts["content_digest"] = digest_strings(digests + made_digests)
        handle.attrs.update(to_attributes(facts))


def _make(references: References, x: Tensor, seeds: NDArray[np.int64] | None, rows: slice) -> Tensor:
    chosen = references
    if isinstance(references, FixedReferences):
        if references.sequences.ndim == 4 and len(references.sequences) != len(x):
            raise InputError(
                f"references: found {len(references.sequences)} rows, expected {len(x)}, one per sequence"
            )
        chosen = references.rows(rows)
    return make_references(chosen, x[rows], None if seeds is None else seeds[rows])


def _dataset(handle: h5py.File, n: int, made: NDArray[Any]) -> h5py.Dataset:
    """One compressed HDF5 chunk per sequence, with a checksum."""
    return handle.create_dataset(
        "references", (n, *made.shape[1:]), made.dtype, chunks=(1, *made.shape[1:]),
        compression="gzip", compression_opts=1, shuffle=True, fletcher32=True,
    )  # fmt: skip


def _name(references: Any) -> str:
    return repr(references) if not hasattr(references, "__len__") else f"array {tuple(references.shape)}"


def _digests(rows: NDArray[Any]) -> list[str]:
    """Hex digest of the bytes of each row."""
    rows = np.ascontiguousarray(rows)
    return [hashlib.blake2b(row, digest_size=16).hexdigest() for row in rows]


def _check_twins(digests: Sequence[str], made: Sequence[str], seeds: NDArray[np.int64] | None) -> None:
    """Refuse rows that a replay could not tell apart."""
    keys = zip(digests, [0] * len(digests) if seeds is None else seeds.tolist(), strict=True)
    seen: dict[tuple[str, int], int] = {}
    twins = []
    for row, key in enumerate(keys):
        other = seen.setdefault(key, row)
        if made[other] != made[row]:
            twins.append(f"{other} and {row}")
    if twins:
        raise InputError(
            f"sequences: the same sequence with different references at {offenders(twins)}: a replay "
            "could not tell them apart; what to do: give different seeds, or the same references"
        )


@dataclass(frozen=True, eq=False)
class SavedReferences:
    """References that are read from a file as they are needed; made by :func:`load_references`.

    Attributes
    ----------
    path
        The file.
    n
        References per sequence.
    length
        Length of the sequences, bp.
    digest
        Digest of all sequences and references.

    Examples
    --------
    >>> save_references(folder / "references.h5", DinucleotideShuffle(n=3), sequences)
    >>> saved = load_references(folder / "references.h5")
    >>> saved.n, saved.length
    (3, 60)
    """

    path: Path
    n: int
    length: int
    digest: str
    _sorted: NDArray[np.bytes_]
    _order: NDArray[np.int64]
    _made: NDArray[np.bytes_]
    _seeds: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self._order)

    def __call__(self, sequences: Tensor, seeds: Any = None) -> Tensor:
        """References of sequences (N, 4, L), one-hot; returns (N, n, 4, L) on their device."""
        rows = self.find(sequences, seeds)
        with open_hdf5(self.path, what="saved references", datasets=_DATASETS) as handle:
            if handle.attrs.get("content_digest") != self.digest:
                raise StorageError(f"saved references: {self.path} has changed since it was loaded")
            return torch.from_numpy(_take(handle["references"], rows, self.path)).to(sequences.device)

    def find(self, sequences: Tensor, seeds: Any = None) -> NDArray[np.int64]:
        """Rows of the file that belong to sequences (N, 4, L): int64 (N,).

        Raises
        ------
        InputError
            The file has no references for a sequence, or several, and the seeds do not say which.
        """
        if sequences.shape[2] != self.length:
            raise InputError(
                f"saved references: found sequences of {sequences.shape[2]} bp, expected {self.length} bp "
                f"as in {self.path}"
            )
        given = check_seeds(seeds, len(sequences))
        wanted = np.array(_digests(sequences.to(torch.uint8).cpu().numpy()), dtype="S32")
        first = np.searchsorted(self._sorted, wanted, side="left")
        last = np.searchsorted(self._sorted, wanted, side="right")
        if len(missing := np.flatnonzero(first == last)):
            raise InputError(
                f"saved references: {self.path} was made for other sequences: it has none for examples "
                f"{offenders(missing.tolist())} of {len(sequences)}; what to do: give the sequences that it "
                "was saved for, or draw new references"
            )
        rows = self._order[first]
        for i in np.flatnonzero(last - first > 1).tolist():
            rows[i] = self._choose(self._order[first[i] : last[i]], None if given is None else given[i], i)
        return rows

    def _choose(self, rows: NDArray[np.int64], seed: Any, example: int) -> int:
        """The row that is meant among those of one sequence."""
        if self._seeds is not None and seed is not None:
            rows = rows[self._seeds[rows] == seed]
        if len(set(self._made[rows].tolist())) != 1:
            raise InputError(
                f"saved references: {self.path} has the sequence of example {example} several times, with "
                "different references; what to do: give the seeds with which they were saved"
            )
        return int(rows[0])


def _take(dataset: h5py.Dataset, rows: NDArray[np.int64], path: Path) -> NDArray[Any]:
    """Read rows in the order given, neighbours at once."""
    out = np.empty((len(rows), *dataset.shape[1:]), dataset.dtype)
    starts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    try:
        for start, stop in itertools.pairwise(starts):
            if start < stop:
                out[start:stop] = dataset[rows[start] : rows[start] + stop - start]
    except OSError as error:
        raise StorageError(f"saved references: {path} is damaged: {error}") from error
    return out


def load_references(path: str | Path) -> SavedReferences:
    """Open saved references, to be given as ``references`` to any method.

    Parameters
    ----------
    path
        File of :func:`save_references`.

    Raises
    ------
    InputError, StorageError
        The file is missing, broken, or of another kind.

    Examples
    --------
    >>> save_references(folder / "shuffles.h5", Shuffle(n=2), sequences)
    >>> load_references(folder / "shuffles.h5").n
    2
    """
    with open_hdf5(path, what="saved references", datasets=_DATASETS) as handle:
        saved = handle["references"]
        digests, made = handle["sequence_digests"][:], handle["reference_digests"][:]
        seeds = handle["seeds"][:] if "seeds" in handle else None
        sizes = {len(saved), len(digests), len(made)} | (set() if seeds is None else {len(seeds)})
        if handle.attrs.get("format_version") != FORMAT_VERSION or saved.ndim != 4 or len(sizes) != 1:
            raise StorageError(
                f"saved references: {path} has format {handle.attrs.get('format_version')}, references "
                f"{saved.shape} and {sorted(sizes)} rows; expected format {FORMAT_VERSION} and (N, R, 4, L)"
            )
        order = np.argsort(digests, kind="stable")
        return SavedReferences(
            path=Path(path),
            n=int(saved.shape[1]),
            length=int(saved.shape[3]),
            digest=str(handle.attrs["content_digest"]),
            _sorted=digests[order],
            _order=order,
            _made=made,
            _seeds=seeds,
        )
