"""Matrices of a target's patterns, trimmed and turned as ``motifs.tsv`` has them, and of known motifs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from cislex.motifs.files import Matrix, read_meme, read_motifs, reverse_complement
from cislex.report.specs import AnalysisTarget


@dataclass(frozen=True)
class Core:
    """Core of a pattern as the page draws it, each float64 (4, width).

    ``ppm`` are base frequencies, ``cwm`` mean contributions, ``hypothetical`` mean hypothetical ones;
    ``pattern`` is the group in ``modisco.h5``, and ``is_reversed`` says that the core is on its other strand.
    """

    ppm: Matrix
    cwm: Matrix
    hypothetical: Matrix
    pattern: str
    is_reversed: bool


def read_cores(spec: AnalysisTarget, table: pd.DataFrame) -> dict[str, Core]:
    """Cores of a target's motifs by name; none without ``modisco.h5``.

    Parameters
    ----------
    spec
        The target.
    table
        Its ``motifs.tsv``, which says how each pattern was trimmed and turned.
    """
    if spec.modisco is None or table.empty:
        return {}
    rows = {row["motif"]: row for row in table.to_dict("records")}
    found = {}
    for motif in read_motifs(spec.modisco):
        row = rows.get(motif.name)
        if row is None:
            continue
        matrices = motif.ppm, motif.cwm, motif.hypothetical
        start, end, is_reversed = motif.start, motif.end, motif.is_reversed
        if row.get("trim_end"):
            start, end = int(row["trim_start"]), int(row["trim_end"])
            is_reversed = row["is_reversed"] == "True"
        if is_reversed != motif.is_reversed:
            matrices = tuple(reverse_complement(matrix) for matrix in matrices)  # type: ignore[assignment]
        ppm, cwm, hypothetical = (matrix[:, start:end] for matrix in matrices)
        found[motif.name] = Core(ppm, cwm, hypothetical, motif.pattern, is_reversed)
    return found


#: Base frequencies (4, w) of known motifs by identifier, for each database file.
KnownMotifs = Mapping[str, Mapping[str, Matrix]]


def read_known(paths: Iterable[str]) -> dict[str, dict[str, Matrix]]:
    """Read each database once."""
    return {path: {motif.identifier: motif.ppm for motif in read_meme(path)} for path in sorted(paths)}
