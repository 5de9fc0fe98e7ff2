"""Motifs from attributions: TF-MoDISco (modisco-lite) over all regions, checked and made reproducible.

modisco-lite takes its seqlets from the first regions until a cap is reached, accepts arrays that make no
sense, and names seqlets by their place in the arrays that it was given. Here regions are put in an order
that depends on a seed and on what each region is (not on its row), inputs are checked, and seqlets are
mapped back to rows and positions of ``attributions.h5``. Of all regions only the contributions of the
observed bases are held; modisco-lite is given the regions whose seqlets it uses.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cislex import provenance
from cislex.errors import ConfigError
from cislex.files.tables import FORMAT_VERSION, open_hdf5
from cislex.logs import get_logger
from cislex.motifs import modisco_seqlets
from cislex.motifs.files import write_modisco
from cislex.motifs.modisco_repairs import no_seqlet_is_no_pattern, prepare_kernels, seqlets_given
from cislex.motifs.modisco_scores import Window, find_window, read_rows, read_scores
from cislex.wording import counted

#: The version whose results, file layout and traps this module was measured with.
MODISCO_VERSION = "3.0.0"

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
    counts = SeqletCounts(0, 0, settings.max_seqlets)
    patterns: dict[str, Any] = {"pos_patterns": None, "neg_patterns": None}
    with open_hdf5(attributions, what="attributions", datasets=("hypothetical", "sequences")) as handle:
        window = find_window(handle, settings.window, settings.pattern_width, str(attributions))
        windows = window.regions * (window.width + 1 - settings.sliding_window_size)
        drawn = modisco_seqlets.subsample(windows)
        scores = read_scores(handle, window, settings.seed, str(attributions))
        if scores.silent:
            logger.warning(
                "%s: every attribution is zero: the target does not depend on the sequence, so it has no "
                "motifs",
                attributions,
            )
        rows, given = scores.rows, None
        seqlets = None if scores.silent else _extract(scores.contributions, drawn, settings)
        if seqlets is not None:
            counts = SeqletCounts(
                int((seqlets.sums > seqlets.threshold).sum()),
                int((seqlets.sums < -seqlets.threshold).sum()),
                settings.max_seqlets,
            )
            _report(counts, window.regions, settings)
            if max(counts.positive, counts.negative) > settings.min_metacluster_size:
                seqlets, used = seqlets.compact(settings.max_seqlets)
                rows = scores.rows[used]
                given = read_rows(handle, window, rows)
    attributes = _attributes(window, silent=scores.silent, counts=counts, settings=settings)
    del scores  # contributions of all regions
    if seqlets is not None and given is not None:
        patterns = _run_modisco(*given, seqlets, settings, threads)
    write_modisco(out, patterns, rows=rows, offset=window.offset, length=window.length, attributes=attributes)
    found = sum(len(group or ()) for group in patterns.values())
    logger.info("%s written to %s", counted(found, "pattern"), out)
    return found


def _attributes(
    window: Window, *, silent: bool, counts: SeqletCounts, settings: ModiscoSettings
) -> dict[str, Any]:
    """Provenance of the file."""
    attributes = {
        "format_version": FORMAT_VERSION,
        "window": window.width,
        "window_offset": window.offset,
        "regions": window.regions,
        "no_attribution": int(silent),
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
            "the cap of %d seqlets per sign was reached: %.2g %% of the seqlets are used, from a random "
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


def _extraction(settings: ModiscoSettings) -> dict[str, Any]:
    """Settings of seqlet extraction that TFMoDISco has as defaults of its own."""
    return {
        "target_fdr": settings.target_seqlet_fdr,
        "min_passing_windows_frac": 0.03,
        "max_passing_windows_frac": 0.2,
        "weak_threshold_for_counting_sign": 0.8,
    }


def _extract(
    contributions: Array, drawn: NDArray[np.int64], settings: ModiscoSettings
) -> modisco_seqlets.Seqlets | None:
    """The seqlets that TF-MoDISco extracts; None where there are no regions, or nothing varies."""
    if not len(contributions):
        return None
    if contributions.min() == contributions.max():
        logger.warning("contributions of the observed bases do not vary, so there are no motifs to discover")
        return None
    return modisco_seqlets.extract(
        contributions,
        drawn,
        size=settings.sliding_window_size,
        flank=settings.flank_size,
        settings=_extraction(settings),
    )


def _run_modisco(
    one_hot: Array,
    hypothetical: Array,
    seqlets: modisco_seqlets.Seqlets,
    settings: ModiscoSettings,
    threads: int,
) -> dict[str, Any]:
    from modiscolite.tfmodisco import TFMoDISco

    prepare_kernels(threads)
    logger.info("running TF-MoDISco (no progress output)")
    extraction = _extraction(settings)
    extraction["target_seqlet_fdr"] = extraction.pop("target_fdr")
    with no_seqlet_is_no_pattern(), seqlets_given(seqlets):
        positive, negative = TFMoDISco(
            one_hot=one_hot,
            hypothetical_contribs=hypothetical,
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
