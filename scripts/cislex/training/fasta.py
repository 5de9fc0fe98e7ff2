"""Training examples of labelled FASTA files: a label is a class, a stretch of its sequences a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.logs import get_logger
from cislex.regions.genome import UNKNOWN, encode_letters, stream_fasta
from cislex.training.inputs import SPLITS
from cislex.training.windows import Examples, Windows

SUFFIXES = (".fa", ".fasta", ".fna", ".fa.gz", ".fasta.gz", ".fna.gz")
HOLD_OUTS = ("records", "blocks")

logger = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class LabelSource:
    """FASTA files of each label; long sequences are cut into windows.

    Attributes
    ----------
    labels
        A FASTA file, or a folder of them, for each label; the labels are the classes, in this order.
    input_length
        Length of a window, bp; shorter sequences are left out.
    stride
        Distance of the starts of neighbouring windows; None: ``input_length``, so that they do not overlap.
    hold_out
        ``records``: whole sequences are held out, chosen at random. ``blocks``: the end of every sequence
        is, first a stretch for validation, then one for test; windows that would overlap a later stretch
        are left out.
    validation_fraction, test_fraction
        Share of the sequences (of the windows of each, for blocks) that is held out.
    max_unknown
        Largest fraction of unknown bases in a window.
    """

    labels: Mapping[str, str | Path]
    input_length: int
    stride: int | None = None
    hold_out: str = "records"
    validation_fraction: float = 0.15
    test_fraction: float = 0.15
    max_unknown: float = 0.1

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise ConfigError(f"labels: found {len(self.labels)}; expected at least 2 classes")
        if self.input_length < 1 or (self.stride is not None and self.stride < 1):
            raise ConfigError(
                f"input_length ({self.input_length}) and stride ({self.stride}) must be at least 1"
            )
        if self.hold_out not in HOLD_OUTS:
            raise ConfigError(f"hold_out is {self.hold_out!r}; expected {' or '.join(HOLD_OUTS)}")
        require_fractions(self.validation_fraction, self.test_fraction)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The labels."""
        return tuple(self.labels)

    def draw(self, seed: int) -> Mapping[str, Examples]:
        """Windows of every split; the seed chooses the sequences that are held out."""
        tables, codes = [], []
        for number, (label, path) in enumerate(self.labels.items()):
            rng = np.random.default_rng([seed, 0, number])
            table, found = self._windows_of(label, path, rng)
            tables.append(table.assign(label=number))
            codes.append(found)
        table, code = pd.concat(tables, ignore_index=True), np.concatenate(codes)
        return {split: self._split(table, code, split) for split in SPLITS}

    def _windows_of(
        self, label: str, path: str | Path, rng: np.random.Generator
    ) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
        """Table ``chrom, start, split`` and codes uint8 (N, input_length) of one label's windows."""
        stride = self.stride or self.input_length
        names, starts, codes, record = [], [], [], []
        total = too_short = 0
        for total, (name, sequence) in enumerate(_records(label, path), start=1):
            if len(sequence) < self.input_length:
                too_short += 1
                continue
            views = np.lib.stride_tricks.sliding_window_view(sequence, self.input_length)[::stride]
            known = np.flatnonzero((views == UNKNOWN).mean(axis=1) <= self.max_unknown)
            names.append(np.full(len(known), name, dtype=object))
            starts.append(known * stride)
            record.append(np.full(len(known), total))
            codes.append(views[known])
        if not sum(map(len, codes)):
            raise InputError(
                f"label {label}: {path}: no window of {self.input_length} bp in {total} sequences "
                f"({too_short} are shorter)"
            )
        if too_short:
            logger.warning("label %s: %d of %d sequences are shorter than a window", label, too_short, total)
        table = pd.DataFrame({"chrom": np.concatenate(names), "start": np.concatenate(starts)})
        records = np.concatenate(record)
        if self.hold_out == "records":
            return table.assign(split=self._by_record(label, records, rng)), np.concatenate(codes)
        return table.assign(split=self._by_block(table, records)), np.concatenate(codes)

    def _by_record(
        self, label: str, records: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.object_]:
        shuffled = rng.permutation(np.unique(records))
        held = [max(1, round(f * len(shuffled))) for f in (self.validation_fraction, self.test_fraction)]
        if sum(held) >= len(shuffled):
            raise InputError(
                f"label {label}: {len(shuffled)} sequences with windows are too few to hold out whole ones; "
                "give more, or set hold_out: blocks"
            )
        split = np.full(len(records), "train", dtype=object)
        split[np.isin(records, shuffled[: held[0]])] = "validation"
        split[np.isin(records, shuffled[held[0] : sum(held)])] = "test"
        return split

    def _by_block(self, table: pd.DataFrame, records: NDArray[np.int64]) -> NDArray[np.object_]:
        """The split of each window; "" for those that overlap a later stretch."""
        split = np.full(len(table), "", dtype=object)
        starts = table["start"].to_numpy(np.int64)
        for number in np.unique(records):
            rows = np.flatnonzero(records == number)
            n = len(rows)
            cuts = [round((1 - self.test_fraction - self.validation_fraction) * n),
                    round((1 - self.test_fraction) * n)]  # fmt: skip
            for name, first, last in zip(SPLITS, [0, *cuts], [*cuts, n], strict=True):
                limit = starts[rows[last]] if last < n else np.iinfo(np.int64).max
                inside = rows[first:last]
                split[inside[starts[inside] + self.input_length <= limit]] = name
        return split

    def _split(self, table: pd.DataFrame, codes: NDArray[np.uint8], split: str) -> Windows:
        rows = np.flatnonzero((table["split"] == split).to_numpy())
        labels = np.eye(len(self.labels), dtype=np.uint8)[table["label"].to_numpy()[rows]]
        counts = dict(zip(self.labels, labels.sum(axis=0).tolist(), strict=True))
        if absent := [label for label, count in counts.items() if count == 0]:
            raise InputError(
                f"split {split}: no window of label {offenders(absent)}; give longer or more sequences"
            )
        counted = ", ".join(f"{label} {count}" for label, count in counts.items())
        logger.info("%s: %d windows: %s", split, len(rows), counted)
        return Windows(
            table["chrom"].to_numpy(object)[rows],
            table["start"].to_numpy(np.int64)[rows] + self.input_length // 2,
            codes[rows],
            labels[:, None, :],
            self.outputs,
            self.input_length,
        )


def require_fractions(validation: float, test: float) -> None:
    """Raise ConfigError unless both shares are above 0 and leave something to train on."""
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise ConfigError(
            f"validation_fraction ({validation}) and test_fraction ({test}) must be above 0 and sum to less "
            "than 1"
        )


def fasta_files(path: str | Path) -> list[Path]:
    """The FASTA files of a folder in the order of their names, or the one file that was named."""
    where = Path(path)
    if not where.is_dir():
        return [where]
    return sorted(file for file in where.iterdir() if file.name.lower().endswith(SUFFIXES))


def _records(label: str, path: str | Path) -> list[tuple[str, NDArray[np.uint8]]]:
    """Name and codes of every sequence of a label, in the order of the files."""
    files = fasta_files(path)
    if not files:
        raise InputError(f"label {label}: {path} holds no FASTA file ({', '.join(SUFFIXES)})")
    records: list[tuple[str, list[NDArray[np.uint8]]]] = []
    for file in files:
        offset, current = len(records), -1
        for number, name, piece in stream_fasta(file):
            if number != current:
                records.append((name, []))
                current = number
            records[offset + number][1].append(encode_letters(piece, where=f"{file}, {name}"))
    return [(name, np.concatenate(pieces)) for name, pieces in records]
