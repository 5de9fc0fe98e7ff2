"""Motifs from attributions: TF-MoDISco (modisco-lite) over all regions, checked and made reproducible.

modisco-lite takes its seqlets from the first regions until a cap is reached, accepts arrays that make no
sense, and names seqlets by their place in the arrays that it was given. Here regions are put in an order
that depends on a seed and on what each region is (not on its row), inputs are checked, and seqlets are
mapped back to rows and positions of ``attributions.h5``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex import provenance
from cislex.errors import ConfigError, InputError, offenders
from cislex.files.tables import FORMAT_VERSION, has_coordinates, open_hdf5, read_regions
from cislex.logs import get_logger, progress
from cislex.motifs.files import write_modisco
from cislex.motifs.modisco_repairs import no_seqlet_is_no_pattern, prepare_kernels
from cislex.wording import counted

#: The version whose results, file layout and traps this module was measured with.
MODISCO_VERSION = "3.0.0"
#: Values read from the file at once (about 64 MB of float32).
BLOCK_VALUES = 1 << 24

Array = NDArray[np.float32]
logger = get_logger("motifs")


@dataclasses.dataclass(frozen=True)
class ModiscoSettings:
    """Settings of TF-MoDISco, all stated: its Python and command-line defaults differ (these are the latter).

    Parameters
    ----------
    max_seqlets
        Most seqlets used of each sign; time and memory grow with it.
    window
        Central bases of each region that are used; None: all.
    seed
        Orders the regions, so that the cap takes a fair sample of them.
    n_leiden_runs
        Clusterings of which the best is kept.
    sliding_window_size, flank_size
        Width of the window that is scored, and bases added at both its sides to make a seqlet.
    target_seqlet_fdr
        False discovery rate at which windows count as seqlets.
    min_metacluster_size
        A sign with no more seqlets than this is not clustered.
    trim_to_window_size, initial_flank_to_add, final_flank_to_add
        Patterns are cut to their best window of this size, and widened by flanks at both sides.
    final_min_cluster_size
        Fewest seqlets of a pattern that is reported.
    """

    max_seqlets: int = 2000
    window: int | None = None
    seed: int = 0
    n_leiden_runs: int = 2
    sliding_window_size: int = 20
    flank_size: int = 5
    target_seqlet_fdr: float = 0.05
    min_metacluster_size: int = 100
    trim_to_window_size: int = 30
    initial_flank_to_add: int = 10
    final_flank_to_add: int = 0
    final_min_cluster_size: int = 20

    @property
    def pattern_width(self) -> int:
        """Width of a pattern before trimming; regions must be longer."""
        return self.trim_to_window_size + 2 * (self.initial_flank_to_add + self.final_flank_to_add)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Input of TF-MoDISco.

    Parameters
    ----------
    one_hot, hypothetical
        float32 (n, window, 4), writable and contiguous, in shuffled order.
    rows
        int64 (n,): the row in attributions.h5 of each.
    offset
        Where the window begins in the full sequence.
    length
        Length of the full sequences.
    """

    one_hot: Array
    hypothetical: Array
    rows: NDArray[np.int64]
    offset: int
    length: int

    @property
    def silent(self) -> bool:
        """Whether there are regions, and every attribution is zero: an output that is constant."""
        return len(self.rows) > 0 and not self.hypothetical.any()


@dataclasses.dataclass(frozen=True)
class SeqletCounts:
    """Seqlets found of each sign, and how many the cap kept."""

    positive: int
    negative: int
    cap: int

    @property
    def fraction_kept(self) -> float:
        """Share of the seqlets that was used; 1 when there was none to use."""
        kept = min(self.positive, self.cap) + min(self.negative, self.cap)
        total = self.positive + self.negative
        return kept / total if total else 1.0

    @property
    def cap_reached(self) -> bool:
        """Whether the cap excluded seqlets."""
        return max(self.positive, self.negative) > self.cap


def find_motifs(attributions: str | Path, out: str | Path, settings: ModiscoSettings, *, threads: int) -> int:
    """Run TF-MoDISco over the attributions of one target and write its patterns.

    Parameters
    ----------
    attributions
        ``attributions.h5``: ``hypothetical`` and ``sequences`` (N, 4, L), ``regions/``.
    out
        The file to write, in modisco-lite's layout: ``example_idx`` are rows of ``attributions`` and
        ``start, end`` positions in its full-length sequences. Without patterns it is valid, with no groups.
    settings
        Settings of TF-MoDISco.
    threads
        Threads of numba. The result does not depend on it.

    Returns
    -------
    int
        Patterns written, both signs together; 0 where every attribution is zero (the file says so).

    Raises
    ------
    InputError
        When the arrays are not one-hot, not finite, or observed instead of hypothetical scores.
    ConfigError
        When the window does not fit, or modisco-lite has another version.
    """
    _check_version()
    with open_hdf5(attributions, what="attributions", datasets=("hypothetical", "sequences")) as handle:
        scores = _read_scores(handle, settings, str(attributions))
    counts = SeqletCounts(0, 0, settings.max_seqlets)
    patterns: dict[str, Any] = {"pos_patterns": None, "neg_patterns": None}
    if scores.silent:
        logger.warning(
            "%s: every attribution is zero: the target does not depend on the sequence, so it has no motifs",
            attributions,
        )
    elif len(scores.rows):
        counts = _count_seqlets(scores, settings)
        _report(counts, len(scores.rows), settings)
        if max(counts.positive, counts.negative) > settings.min_metacluster_size:
            patterns = _run_modisco(scores, settings, threads)
    write_modisco(
        out,
        patterns,
        rows=scores.rows,
        offset=scores.offset,
        length=scores.length,
        attributes=_attributes(scores, counts, settings),
    )
    found = sum(len(group or ()) for group in patterns.values())
    logger.info("%s written to %s", counted(found, "pattern"), out)
    return found


def _attributes(scores: Scores, counts: SeqletCounts, settings: ModiscoSettings) -> dict[str, Any]:
    """Provenance of the file."""
    attributes = {
        "format_version": FORMAT_VERSION,
        "window": scores.one_hot.shape[1],
        "window_offset": scores.offset,
        "regions": len(scores.rows),
        "no_attribution": int(scores.silent),
        "positive_seqlets": counts.positive,
        "negative_seqlets": counts.negative,
        "seqlet_cap_reached": int(counts.cap_reached),
        "seqlet_fraction_kept": counts.fraction_kept,
        "settings": dataclasses.asdict(settings),
        "versions": provenance.versions(),
    }
    return dict(provenance.to_attributes(attributes))


def _check_version() -> None:
    import modiscolite

    if modiscolite.__version__ != MODISCO_VERSION:
        raise ConfigError(
            f"modisco-lite {MODISCO_VERSION} is needed, found {modiscolite.__version__} "
            f"in {modiscolite.__file__}: "
            "the package 'modisco' installs the same folder; uninstall it and install modisco-lite again"
        )


def _report(counts: SeqletCounts, regions: int, settings: ModiscoSettings) -> None:
    logger.info(
        "%d positive and %d negative seqlets in %s",
        counts.positive,
        counts.negative,
        counted(regions, "region"),
    )
    if counts.cap_reached:
        logger.warning(
            "the cap of %d seqlets per sign was reached: %.1f %% of the seqlets are used, from a random "
            "sample of the regions; raise motifs.max_seqlets to use more",
            settings.max_seqlets,
            100 * counts.fraction_kept,
        )
    for sign, count in (("positive", counts.positive), ("negative", counts.negative)):
        if count <= settings.min_metacluster_size:
            logger.info(
                "no %s motifs: %d seqlets, more than %d are needed",
                sign,
                count,
                settings.min_metacluster_size,
            )


def shuffled_rows(regions: pd.DataFrame, seed: int) -> NDArray[np.int64]:
    """Shuffle rows by the seed and by each region's identity, whatever their original order.

    Parameters
    ----------
    regions
        Columns ``chrom, start, end, name, strand``.
    seed
        Any integer.

    Returns
    -------
    numpy.ndarray
        int64 (N,): a permutation of the rows.
    """
    chroms = regions["chrom"] if has_coordinates(regions) else regions["name"]
    keys = provenance.locus_seeds(
        "motifs", chroms.astype(str), regions["start"], regions["end"], regions["strand"].astype(str), seed
    )
    return np.lexsort((np.arange(len(regions)), regions["name"].to_numpy(str), keys)).astype(np.int64)


def _window(length: int, settings: ModiscoSettings) -> tuple[int, int]:
    """Start and width of the central window, checked."""
    width = settings.window or length
    if width > length:
        raise ConfigError(f"motifs.window is {width}, but regions are {length} bases long")
    if width <= settings.pattern_width:
        raise ConfigError(
            f"motifs needs windows longer than {settings.pattern_width} bases "
            f"(trim_to_window_size and flanks), found {width}"
        )
    return (length - width) // 2, width


def _read_scores(handle: h5py.File, settings: ModiscoSettings, where: str) -> Scores:
    """Read and check both arrays block by block, straight into the layout that TF-MoDISco wants."""
    hypothetical, sequences = handle["hypothetical"], handle["sequences"]
    if hypothetical.ndim != 3 or hypothetical.shape[1] != 4 or sequences.shape != hypothetical.shape:
        raise InputError(
            f"{where}: hypothetical {hypothetical.shape} and sequences {sequences.shape} "
            "must both be (regions, 4, length)"
        )
    count, _, length = hypothetical.shape
    offset, width = _window(length, settings)
    rows = shuffled_rows(read_regions(handle), settings.seed)
    if len(rows) != count:
        raise InputError(f"{where}: {len(rows)} regions but {count} rows of attributions")
    place = np.empty(count, dtype=np.int64)
    place[rows] = np.arange(count)
    scores = Scores(
        np.empty((count, width, 4), np.float32), np.empty((count, width, 4), np.float32), rows, offset, length
    )
    is_projected = True
    for start, stop in _blocks(count, 4 * length):
        observed = sequences[start:stop, :, offset : offset + width]
        values = hypothetical[start:stop, :, offset : offset + width].astype(np.float32)
        check_block(observed, values, start, where)
        is_projected &= not (values * (observed == 0)).any()
        scores.one_hot[place[start:stop]] = observed.transpose(0, 2, 1)
        scores.hypothetical[place[start:stop]] = values.transpose(0, 2, 1)
    if count and is_projected and not scores.silent:
        raise InputError(
            f"{where}: 'hypothetical' is zero at every base that is not observed: these are observed "
            "contributions; TF-MoDISco needs hypothetical ones for all four bases"
        )
    return scores


def _blocks(count: int, values_per_row: int) -> Iterator[tuple[int, int]]:
    step = max(1, BLOCK_VALUES // max(1, values_per_row))
    starts = range(0, count, step)
    for start in progress(starts, total=count, label="reading attributions", weight=step):
        yield start, min(start + step, count)


def check_block(sequences: NDArray[Any], hypothetical: Array, first: int, where: str) -> None:
    """Check a block of rows: one-hot sequences and finite scores.

    Parameters
    ----------
    sequences
        (n, 4, L): 0 or 1, at most one 1 per position.
    hypothetical
        float32 (n, 4, L).
    first
        Row of the block's first region, for messages.
    where
        The file, for messages.

    Raises
    ------
    InputError
        With the first offending rows.
    """
    is_binary = ((sequences == 0) | (sequences == 1)).all(axis=(1, 2))
    is_one_hot = is_binary & (sequences.sum(axis=1) <= 1).all(axis=1)
    if not is_one_hot.all():
        rows = offenders(first + np.flatnonzero(~is_one_hot))
        raise InputError(
            f"{where}: sequences are not one-hot in rows {rows}; were sequences and attributions swapped?"
        )
    is_finite = np.isfinite(hypothetical).all(axis=(1, 2))
    if not is_finite.all():
        rows = offenders(first + np.flatnonzero(~is_finite))
        raise InputError(
            f"{where}: attributions are NaN or infinite in rows {rows}; run the attribution again"
        )


def _extraction(settings: ModiscoSettings) -> dict[str, Any]:
    """Settings of seqlet extraction that TFMoDISco has as defaults of its own."""
    return {
        "target_fdr": settings.target_seqlet_fdr,
        "min_passing_windows_frac": 0.03,
        "max_passing_windows_frac": 0.2,
        "weak_threshold_for_counting_sign": 0.8,
    }


def _count_seqlets(scores: Scores, settings: ModiscoSettings) -> SeqletCounts:
    """How many seqlets TFMoDISco will extract: it tells neither that number nor that its cap was reached."""
    from modiscolite.extract_seqlets import extract_seqlets

    size, flank = settings.sliding_window_size, settings.flank_size
    contributions = np.einsum("nlc,nlc->nl", scores.one_hot, scores.hypothetical)
    if contributions.min() == contributions.max():
        logger.warning("contributions of the observed bases do not vary, so there are no motifs to discover")
        return SeqletCounts(0, 0, settings.max_seqlets)
    seqlets, threshold = extract_seqlets(
        contributions, window_size=size, flank=flank, suppress=size // 2 + flank, **_extraction(settings)
    )
    sums = np.array([contributions[s.example_idx, s.start + flank : s.end - flank].sum() for s in seqlets])
    positive, negative = int((sums > threshold).sum()), int((sums < -threshold).sum())
    return SeqletCounts(positive, negative, settings.max_seqlets)


def _run_modisco(scores: Scores, settings: ModiscoSettings, threads: int) -> dict[str, Any]:
    from modiscolite.tfmodisco import TFMoDISco

    prepare_kernels(threads)
    logger.info("running TF-MoDISco (no progress output)")
    extraction = _extraction(settings)
    extraction["target_seqlet_fdr"] = extraction.pop("target_fdr")
    with no_seqlet_is_no_pattern():
        positive, negative = TFMoDISco(
            one_hot=scores.one_hot,
            hypothetical_contribs=scores.hypothetical,
            sliding_window_size=settings.sliding_window_size,
            flank_size=settings.flank_size,
            min_metacluster_size=settings.min_metacluster_size,
            max_seqlets_per_metacluster=settings.max_seqlets,
            n_leiden_runs=settings.n_leiden_runs,
            trim_to_window_size=settings.trim_to_window_size,
            initial_flank_to_add=settings.initial_flank_to_add,
            final_flank_to_add=settings.final_flank_to_add,
            final_min_cluster_size=settings.final_min_cluster_size,
            **extraction,
        )
    return {"pos_patterns": positive, "neg_patterns": negative}
