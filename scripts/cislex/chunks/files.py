"""The chunk files of one fold, read as one array: each file is opened once to check it and once to read it.

With ten thousand chunks opening files is what takes time, and what they say about themselves is what takes
memory: of attributes that all share, one copy is kept.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from h5py import h5f, h5g
from numpy.typing import NDArray

from cislex.errors import ModelError, StorageError
from cislex.files.hdf5_blocks import (
    dataset_in,
    digest_blocks,
    group_in,
    names_in,
    opened,
    read_all,
    read_attributes,
    read_rows,
)
from cislex.files.sealed import ADVICE
from cislex.provenance import digest_strings

#: What every chunk of one target must share. The first two are of this target alone: files may hold different
#: targets.
SHARED = (
    "stage_digest",
    "target_settings",
    "method",
    "precision",
    "n_regions",
    "chunks",
    "versions",
    "source_digest",
)
#: Attributes that the chunks of one fold share besides.
OF_FOLD = ("fold", "model_digest", "seed")
#: Attributes that are read of each chunk: few others, since there may be ten thousand.
CHECKED = (
    *(key for key in SHARED if key != "target_settings"),
    *OF_FOLD,
    *("targets", "start", "stop", "regions_digest", "content_digest", "notes"),
)
#: Attributes that tell targets apart, which files of earlier versions lack.
BY_TARGET = ("content_digests", "stage_digests")
#: What makes chunks of one run differ.
CAUSE = "weights, genome or settings changed during the run, or the file belongs to another run"
#: Characters of a value that messages show.
SHOWN = 60
#: Standard deviation over references of the contributions, where it is asked for.
SPREAD = "reference_spread"
#: Share of the absolute contributions of a region that lies in the window that is stored.
WINDOW_SHARE = "window_share"
#: Share of the absolute contributions in the stored columns that was kept.
KEPT_SHARE = "kept_share"
#: Those with one number for each region that are averaged over folds.
AVERAGED = ("prediction", "reference_prediction", WINDOW_SHARE, KEPT_SHARE)
#: Datasets of a target that are joined over folds by themselves.
SMALL = (*AVERAGED, "delta", "max_relative_delta", SPREAD)


class ChunkFiles:
    """The chunk files of one fold.

    Parameters
    ----------
    name
        The fold's name.
    paths
        Its files, in order.
    target
        Which target is read.
    n, length
        Regions in all, and their length in bp.
    model_digest
        Digest of the fold's model as it was inspected; None where nothing is known of it.

    Attributes
    ----------
    shared : dict
        Values of the attributes SHARED.
    digests : list[str]
        Digest of the content of each file.
    regions : list[str]
        Digest of the regions of each file.
    notes : set[str]
        Notes of all files.
    computed : bool (n,)
        Regions that this fold attributed.
    errors : float32 (n,)
        Largest relative delta of each region; zero where there is none.
    tails : dict[str, tuple[int, ...]]
        Shape of one region's numbers in each of the SMALL datasets that there are.

    Raises
    ------
    StorageError
        When a file is missing, incomplete, of another run, or rows do not join up.
    """

    def __init__(
        self,
        name: str,
        paths: Iterable[str | Path],
        target: str,
        n: int,
        length: int,
        *,
        model_digest: str | None = None,
    ) -> None:
        self.name, self.target = name, target
        self.paths = [Path(path) for path in paths]
        self.starts: list[int] = []
        self.shared: dict[str, Any] = {}
        self.model_digest, self.seed = model_digest or "", 0
        self.digests: list[str] = []
        self.regions: list[str] = []
        self._own: dict[str, Any] = {"fold": name}
        self.notes: set[str] = set()
        self.computed = np.zeros(n, bool)
        self.errors = np.zeros(n, np.float32)
        self.tails: dict[str, tuple[int, ...]] = {}
        expected = 0
        for path in self.paths:
            with opened(path, what="chunk") as handle:
                expected = self._check(path, handle, expected, n, length)
        if expected != n:
            raise StorageError(f"fold {name}: chunks end at row {expected} of {n}; a chunk is missing")
        self.starts.append(n)

    def _check(self, path: Path, handle: h5f.FileID, expected: int, n: int, length: int) -> int:
        """Check one file and keep what is small; return the row after its last."""
        try:
            attributes = self._attributes(handle)
            group = group_in(handle, f"targets/{self.target}")
            shape = dataset_in(group, "hypothetical").shape
        except KeyError as error:
            raise StorageError(
                f"chunk: {path} is not a chunk file of target {self.target}: {error}; delete it"
            ) from error
        start, stop = int(attributes["start"]), int(attributes["stop"])
        if start != expected or int(attributes["n_regions"]) != n:
            raise StorageError(
                f"{path}: holds rows from {start} of {int(attributes['n_regions'])}; "
                f"expected rows from {expected} of {n}: it belongs to another run, delete it"
            )
        if shape != (stop - start, 4, length):
            raise StorageError(f"{path}: hypothetical has shape {shape}, which does not match its rows")
        if not self.shared:
            self.shared = {key: attributes[key] for key in SHARED}
            self.model_digest = self.model_digest or str(attributes["model_digest"])
            self.seed = int(attributes["seed"])
            self._own |= {"model_digest": self.model_digest, "seed": attributes["seed"]}
        self.compare(path, attributes)
        self._compare(path, attributes, self._own)
        self.starts.append(start)
        self.regions.append(str(attributes["regions_digest"]))
        self.digests.append(str(attributes["content_digest"]))
        self.notes.update(json.loads(attributes["notes"]))
        self.computed[start:stop] = read_all(handle, "computed", "?")
        self._verify(path, group, attributes["content_digests"])
        if self.computed[start:stop].any():  # else other folds have its regions, and it has no numbers
            names = names_in(group)
            self.tails = self.tails or {key: _shape(group, key)[1:] for key in SMALL if key in names}
            missing = [key for key in self.tails if key not in names]
            if missing:
                raise StorageError(f"{path}: lacks {', '.join(missing)}, which other chunks have; delete it")
            if "max_relative_delta" in names:
                self.errors[start:stop] = read_all(group, "max_relative_delta", "f4")
        return stop

    def _attributes(self, handle: h5f.FileID) -> dict[str, Any]:
        """What a file says of itself; of its digests and settings those of this target."""
        found = _with_optional(handle)
        own = {
            key: json.loads(str(found[key]))[self.target] for key in ("targets", *BY_TARGET) if key in found
        }
        values = own.get("content_digests", {})
        if values:
            found["content_digest"] = digest_strings(f"{name}: {digest}" for name, digest in values.items())
        return found | {
            "target_settings": json.dumps(own["targets"], sort_keys=True),
            "stage_digest": own.get("stage_digests", found["stage_digest"]),
            "content_digests": values,
        }

    def _verify(self, path: Path, group: h5g.GroupID, digests: dict[str, str]) -> None:
        """Read all blocks of the target; refuse what differs from the digests that their job wrote."""
        for name, expected in digests.items():
            digest = digest_blocks(dataset_in(group, name))
            if digest != expected:
                digest_blocks(dataset_in(group, name), verified=True)  # names the rows of a damaged block
                raise StorageError(
                    f"{path}: targets/{self.target}/{name}: its digest is {digest}, but was "
                    f"{expected} when written; {ADVICE}"
                )

    def compare(self, path: Path, attributes: dict[str, Any]) -> None:
        """Refuse what differs from this fold's first file; the error names the file."""
        self._compare(path, attributes, self.shared)

    def _compare(self, path: Path, attributes: dict[str, Any], expected: dict[str, Any]) -> None:
        different = [key for key, value in expected.items() if attributes[key] != value]
        if different:
            found = ", ".join(f"{key} {_short(attributes[key])}" for key in different)
            wanted = ", ".join(_short(expected[key]) for key in different)
            raise StorageError(
                f"{path}: holds results of {found}; expected {wanted}, as in the inspection or the fold's "
                f"first chunk ({self.paths[0]}): {CAUSE}; delete this file and rerun"
            )

    def spans(self, start: int, stop: int) -> Iterator[tuple[Path, int, int, int]]:
        """Path, the file's first row, and first and last row of its overlap with ``start:stop``."""
        place = max(0, bisect.bisect_right(self.starts, start) - 1)
        while place < len(self.paths) and self.starts[place] < stop:
            low, high = max(self.starts[place], start), min(self.starts[place + 1], stop)
            if low < high:
                yield self.paths[place], self.starts[place], low, high
            place += 1

    def read(self, rows: NDArray[np.int64], tails: dict[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
        """The given rows (ascending) of several datasets; zeros where a file has none of them.

        Parameters
        ----------
        rows
            int64 (k,).
        tails
            The datasets, and the shape of one row of each.
        """
        low, high = int(rows[0]), int(rows[-1]) + 1
        found = {name: np.zeros((high - low, *tail), np.float32) for name, tail in tails.items()}
        for path, first, start, stop in self.spans(low, high):
            with opened(path, what="chunk") as handle:
                group = group_in(handle, f"targets/{self.target}")
                names = names_in(group)
                for name, values in found.items():
                    if name in names:
                        dataset = dataset_in(group, name)
                        read_rows(dataset, start - first, stop - first, values[start - low : stop - low])
        picked = rows - low
        return {
            name: values if len(picked) == len(values) else values[picked] for name, values in found.items()
        }


def read_inspected(path: str | Path) -> dict[str, str]:
    """Digest of the model of each fold that passed its inspection, from ``inspected.json``."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        return {str(fold): str(digest) for fold, digest in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise StorageError(f"{path}: cannot be read: {error}; delete it and run again") from error


def read_reference_number(path: str | Path) -> int:
    """Number of references that the inspection chose, from ``references.json``."""
    try:
        return int(json.loads(Path(path).read_text(encoding="utf-8"))["n"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(f"{path}: cannot be read: {error!r}; delete it and run again") from error


def require_inspected(path: str | Path, fold: str, digest: str, weights: str | Path) -> None:
    """Raise ModelError unless the model of a fold is the one that was inspected."""
    expected = read_inspected(path).get(fold)
    if digest != expected:
        raise ModelError(
            f"{weights} ({fold}): this model differs from the inspected one: its digest is {digest}, in "
            f"{path} {expected}. The weights or the model's files changed during the run: run again to "
            "inspect the new ones"
        )


def _with_optional(handle: h5f.FileID) -> dict[str, Any]:
    """The attributes CHECKED, and those of BY_TARGET that the version had which wrote the file."""
    for number in range(len(BY_TARGET), 0, -1):
        with suppress(KeyError):
            return read_attributes(handle, (*CHECKED, *BY_TARGET[:number]))
    return read_attributes(handle, CHECKED)


def _short(value: Any) -> str:
    """A value of an attribute as messages show it."""
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _shape(group: h5g.GroupID, name: str) -> tuple[int, ...]:
    shape: tuple[int, ...] = dataset_in(group, name).shape
    return shape
