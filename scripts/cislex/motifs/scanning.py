"""Sites of motifs by sequence alone: FIMO (memelite) over the regions, whatever the contributions say."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from cislex.files.tables import require_file
from cislex.files.unpacked_rows import unpack_rows
from cislex.logs import get_logger, progress
from cislex.motifs.files import Matrix, Motif, TrimSettings, read_meme, read_motifs
from cislex.wording import counted

#: Bases that are scanned at once.
SCAN_BASES = 1 << 24
#: Pseudocount of a matrix in sites, spread over the bases.
PSEUDOCOUNT = 1.0
#: Bits of a step of log-odds. memelite rounds columns to steps before it computes p-values, which with its
#: default of 0.1 bits may be off by a factor of ten and more; those of matrices on the grid are exact.
STEP = 1 / 128
#: Steps that are added to every score, so that rounding errors never take it below its step.
NUDGE = 0.25
#: What a scan adds to the columns of hits.
SCAN_COLUMNS = ("log_odds", "p")

logger = get_logger("hits")


@dataclasses.dataclass(frozen=True)
class ScanSettings:
    """Settings of a scan.

    Parameters
    ----------
    max_p
        A site's p-value is below this: the chance that one position of one strand, of bases drawn with equal
        frequencies, scores as much.
    window
        Central bp of each region that are scanned; None: all.
    """

    max_p: float = 1e-4
    window: int | None = None


@dataclasses.dataclass(frozen=True)
class ScannedMotif:
    """A motif to scan for: its identifier and name, group in a file of patterns ("" in others), frequencies.

    ``ppm`` is float64 (4, w) and comes from ``sites`` sites.
    """

    identifier: str
    name: str
    pattern: str
    ppm: Matrix
    sites: int


def read_scanned(path: str | Path, trimming: TrimSettings | None) -> list[ScannedMotif]:
    """Motifs of a MEME file, or the cores of the unflagged ones of ``lexicon.h5`` or ``modisco.h5``.

    Raises
    ------
    InputError
        When a MEME file is malformed.
    StorageError
        When a file of patterns is not complete.
    """
    if not h5py.is_hdf5(require_file(path, what="motifs")):
        return [
            ScannedMotif(m.identifier, m.name or m.identifier, "", m.ppm, m.nsites) for m in read_meme(path)
        ]
    return [_core(motif) for motif in read_motifs(path, trimming) if not motif.flagged]


def _core(motif: Motif) -> ScannedMotif:
    return ScannedMotif(motif.name, motif.name, motif.pattern, motif.core_ppm, motif.n_seqlets)


def scan_sites(
    handle: h5py.File, motifs: Sequence[ScannedMotif], place: slice, settings: ScanSettings, *, threads: int
) -> pd.DataFrame:
    """Find sites on both strands, in positions of the scanned window; unknown bases score 0.

    Parameters
    ----------
    handle
        ``attributions.h5``.
    motifs
        What is looked for; those wider than the window are left out, and the log says so.
    place
        Positions of each region that are scanned.
    settings
        Greatest p-value.
    threads
        Threads of numba.

    Returns
    -------
    DataFrame
        ``row, start, end, motif, strand, log_odds`` (bits) ``, p``.
    """
    count, width = handle["sequences"].shape[0], place.stop - place.start
    fitting = {motif.identifier: _on_grid(motif) for motif in motifs if motif.ppm.shape[1] <= width}
    if len(fitting) < len(motifs):
        wide = counted(len(motifs) - len(fitting), "motif")
        logger.warning("%s wider than %d bp: not scanned", wide, width)
    step = max(1, SCAN_BASES // width)
    parts = []
    with _compiled(threads) as fimo:
        for first in progress(range(0, count, step), total=count, label="scan", weight=step):
            rows = slice(first, min(first + step, count))
            found = unpack_rows(handle["sequences"], rows.start, rows.stop)[..., place]
            sequences = np.ascontiguousarray(found.astype(np.int8))
            for table in fimo(fitting, sequences, eps=0.0, threshold=settings.max_p, bin_size=STEP):
                if len(table):
                    parts.append(_as_sites(table, first))
    columns = ("row", "start", "end", "motif", "strand", *SCAN_COLUMNS)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _on_grid(motif: ScannedMotif) -> Matrix:
    """What FIMO takes for frequencies, (4, w): their log-odds are whole steps, and the nudge."""
    sites = max(motif.sites, 1)
    log_odds = np.log2((motif.ppm * sites + PSEUDOCOUNT / 4) / (sites + PSEUDOCOUNT) / 0.25)
    steps = np.rint(log_odds / STEP) + NUDGE / motif.ppm.shape[1]
    return np.asarray(0.25 * np.exp2(steps * STEP), dtype=np.float64)


def _as_sites(table: pd.DataFrame, first: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": table["sequence_name"].to_numpy(np.int64) + first,
            "start": table["start"].to_numpy(np.int64),
            "end": table["end"].to_numpy(np.int64),
            "motif": table["motif_name"].astype(str),
            "strand": table["strand"].astype(str),
            "log_odds": np.floor(table["score"].to_numpy(np.float64) / STEP) * STEP,
            "p": table["p-value"].to_numpy(np.float64),
        }
    )


@contextmanager
def _compiled(threads: int) -> Iterator[Callable[..., list[pd.DataFrame]]]:
    """FIMO, compiled once on a machine, with so many threads."""
    import numba
    from memelite import fimo

    from cislex.runtime.compilation import compile_module_once

    compile_module_once(importlib.import_module("memelite.fimo"))
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        yield fimo
    finally:
        numba.set_num_threads(before)
