"""Training examples of HDF5 and NumPy files: one-hot sequences and their labels, as many tools keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError
from cislex.files.user_arrays import Arrays, named_dataset, open_arrays
from cislex.logs import get_logger
from cislex.sequences.direct_sources import read_codes
from cislex.training.fasta import require_fractions
from cislex.training.inputs import SPLITS
from cislex.training.windows import Examples, Windows

LABEL_KINDS = ("tasks", "classes", "numbers")

logger = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Hdf5Source:
    """Arrays of sequences ``x`` and labels ``y``.

    Attributes
    ----------
    path
        The HDF5 or .npz file.
    input_length
        Expected length of the sequences, bp.
    kind
        What labels are: ``tasks`` (0 or 1 each), ``classes`` (class numbers (N,), or one-hot (N, C)) or
        ``numbers``.
    x, y
        Datasets of the training examples: one-hot (N, 4, L) or (N, L, 4), and (N,) or (N, outputs).
    x_validation, y_validation, x_test, y_test
        Datasets that are held out. Where a pair is None, a share of the training examples is, chosen at
        random.
    axes
        ``n4l``, ``nl4`` or ``auto`` (by the axis of size 4).
    names
        Names of the outputs; None: ``output_0``, ``output_1``, …
    validation_fraction, test_fraction
        Shares that are held out where datasets are None.
    """

    path: str | Path
    input_length: int
    kind: str = "tasks"
    x: str = "x_train"
    y: str = "y_train"
    x_validation: str | None = None
    y_validation: str | None = None
    x_test: str | None = None
    y_test: str | None = None
    axes: str = "auto"
    names: Sequence[str] | None = None
    validation_fraction: float = 0.15
    test_fraction: float = 0.15

    def __post_init__(self) -> None:
        if self.kind not in LABEL_KINDS:
            raise ConfigError(f"hdf5: labels are {self.kind!r}; expected one of {', '.join(LABEL_KINDS)}")
        for split in ("validation", "test"):
            given = [getattr(self, f"{axis}_{split}") for axis in "xy"]
            if (given[0] is None) != (given[1] is None):
                raise ConfigError(f"hdf5: give both x_{split} and y_{split}, or neither; found {given}")
        require_fractions(self.validation_fraction, self.test_fraction)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        with open_arrays(self.path, what="training data") as handle:
            found = self._width(handle)
        if self.names is None:
            return tuple(f"output_{i}" for i in range(found))
        if len(self.names) != found or len(set(self.names)) != found:
            raise ConfigError(f"hdf5: {self.y} has {found} outputs, but names are {', '.join(self.names)}")
        return tuple(self.names)

    def draw(self, seed: int) -> Mapping[str, Examples]:
        """Examples of every split; the seed chooses what is held out where no dataset is named for it."""
        outputs = self.outputs
        parts: dict[str, tuple[NDArray[np.uint8], NDArray[Any], NDArray[np.int64]]] = {}
        codes, labels = self._read(self.x, self.y, len(outputs))
        left = np.random.default_rng([seed, 0]).permutation(len(codes))
        for split, fraction in (("validation", self.validation_fraction), ("test", self.test_fraction)):
            x, y = getattr(self, f"x_{split}"), getattr(self, f"y_{split}")
            if x is not None:
                held = self._read(x, y, len(outputs))
                parts[split] = (*held, np.arange(len(held[0])))
                continue
            n = max(1, round(fraction * len(codes)))
            rows, left = np.sort(left[:n]), left[n:]
            parts[split] = (codes[rows], labels[rows], rows)
        rows = np.sort(left)
        parts["train"] = (codes[rows], labels[rows], rows)
        return {split: self._windows(split, *parts[split], outputs) for split in SPLITS}

    def _windows(
        self,
        split: str,
        codes: NDArray[np.uint8],
        labels: NDArray[Any],
        rows: NDArray[np.int64],
        outputs: tuple[str, ...],
    ) -> Windows:
        if not len(codes):
            raise InputError(f"{self.path}: split {split} has no examples")
        dataset = getattr(self, f"x_{split}", None) or self.x
        logger.info("%s: %d examples of %s", split, len(codes), dataset)
        names = np.array([f"{dataset}[{row}]" for row in rows], dtype=object)
        middle = np.full(len(codes), self.input_length // 2, dtype=np.int64)
        return Windows(names, middle, codes, labels[:, None, :], outputs, self.input_length)

    def _width(self, handle: Arrays) -> int:
        """Number of outputs."""
        data = named_dataset(handle, self.y, self.path)
        if self.kind == "classes" and (data.ndim == 1 or data.shape[1:] == (1,)):
            return max(2, len(self.names or ()), int(np.max(data[()])) + 1 if data.size else 0)
        return 1 if data.ndim == 1 else int(data.shape[1])

    def _read(self, x: str, y: str, outputs: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Codes uint8 (N, L) and labels (N, outputs): uint8, or float32 for numbers."""
        with open_arrays(self.path, what="training data") as handle:
            named_dataset(handle, x, self.path)
            values = named_dataset(handle, y, self.path)[()]
        codes = read_codes(self.path, x, axes=self.axes)
        if codes.shape[1] != self.input_length:
            raise InputError(
                f"{self.path}, {x}: sequences of {codes.shape[1]} bp; expected {self.input_length}"
            )
        labels = self._labels(values, f"{self.path}, {y}", outputs)
        if len(labels) != len(codes):
            raise InputError(f"{self.path}: {len(codes)} sequences in {x}, but {len(labels)} labels in {y}")
        return codes, labels

    def _labels(self, values: NDArray[Any], where: str, outputs: int) -> NDArray[Any]:
        table = values[:, None] if values.ndim == 1 else values
        if table.ndim != 2 or table.dtype.kind not in "buif" or not np.isfinite(table).all():
            raise InputError(
                f"{where}: expected finite numbers (N,) or (N, outputs), found {values.dtype} {values.shape}"
            )
        if self.kind == "classes" and table.shape[1] == 1:
            numbers = table[:, 0].astype(np.int64)
            if (numbers != table[:, 0]).any() or (numbers < 0).any() or (numbers >= outputs).any():
                raise InputError(f"{where}: expected class numbers 0 to {outputs - 1}")
            table = np.eye(outputs)[numbers]
        if table.shape[1] != outputs:
            raise InputError(f"{where}: {table.shape[1]} outputs; {self.y} has {outputs}")
        if self.kind == "numbers":
            return table.astype(np.float32)
        wrong = ((table != 0) & (table != 1)).any(axis=1)
        if self.kind == "classes":
            wrong |= table.sum(axis=1) != 1
        if wrong.any():
            row = int(np.argmax(wrong))
            expected = "one 1 and else 0" if self.kind == "classes" else "0 or 1"
            raise InputError(
                f"{where}: row {row} is {table[row].tolist()} ({int(wrong.sum())} such rows); expected "
                f"{expected}; for numbers use head: regression"
            )
        return table.astype(np.uint8)
