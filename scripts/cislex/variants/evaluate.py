"""Compare the effects of variants with what was measured, beside the best change of a motif's site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from cislex.errors import InputError, offenders
from cislex.files.tables import require_file, write_table
from cislex.files.text_tables import read_numbers
from cislex.logs import get_logger
from cislex.metrics import evaluate, evaluate_signal, with_limits
from cislex.motifs.files import read_meme
from cislex.regions.genome import Genome
from cislex.variants.attributed import attribution_around
from cislex.variants.checked import read_alleles, require_same_alleles
from cislex.variants.context import Context
from cislex.variants.sites import largest_changes
from cislex.wording import counted

logger = get_logger(__name__)

NUMBER_SCORES, CLASS_SCORES = ("pearson", "spearman"), ("auroc", "auprc")
#: Columns of both tables.
KEYS = ["target", "by", "n", "positives"]
EVALUATION = [*KEYS, *with_limits([*NUMBER_SCORES, *CLASS_SCORES])]
ENRICHMENT = [*KEYS, "selection", "selected", "selected_positives", *with_limits(["odds_ratio"]), "p"]
#: What is called significant, and the shares of all variants that are the strongest.
MAX_Q = 0.05
TOP = (0.01, 0.05, 0.1)
#: Standard errors to both ends of a 95 % interval.
_ERRORS = 1.959964
PLACE = ["chrom", "pos", "ref", "alt", "id"]

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class EvaluationFiles:
    """What :func:`evaluate_variants` writes: ``evaluation.tsv``, ``enrichment.tsv`` and ``observed.tsv``."""

    evaluation: str | Path
    enrichment: str | Path
    observed: str | Path


@dataclass(frozen=True)
class Observations:
    """What was measured: values float64 (n,) and, where they say which variants matter, flags bool (n,)."""

    values: Values
    positive: Flags | None
    classes: bool

    def unsigned(self, chosen: Flags) -> Observations:
        """Those of some variants for a score without a sign, which is not correlated with numbers."""
        positive = None if self.positive is None else self.positive[chosen]
        return Observations(self.values[chosen], positive, classes=True)


def evaluate_variants(
    scores: str | Path,
    alleles: str | Path,
    fasta: str | Path,
    files: EvaluationFiles,
    *,
    targets: Sequence[str],
    column: str = "observed",
    threshold: float | None = None,
    motifs: Mapping[str, Sequence[str | Path]] | None = None,
    tracks: Mapping[str, str | Path] | None = None,
    flank: int = 20,
    fai: str | Path | None = None,
    gzi: str | Path | None = None,
    seed: int = 0,
    n_bootstrap: int = 200,
) -> None:
    """Compare the effects on every target with measurements.

    Parameters
    ----------
    scores, alleles
        ``variants.tsv`` and ``alleles.tsv``.
    fasta, fai, gzi
        The genome and its index.
    files
        Written. ``evaluation``: correlations of numbers, with their signs, and AUROC and AUPRC of sizes, each
        with its 95 % limits, for each target by ``effect``, by ``logfc``, by ``attribution`` and by the
        largest change of a motif's site. ``enrichment``: odds of positives among selected variants against
        the others. ``observed``: each measured variant with its motifs and effects.
    targets
        Names of the targets.
    column
        Column of the measurements; variants with an empty cell are left out.
    threshold
        Absolute value from which a measurement is positive; None: measurements of 0 and 1 say it themselves,
        and for others there are correlations alone.
    motifs
        MEME files by the name of their kind: motifs to compare with.
    tracks, flank
        ``contributions.bw`` by target: variants are also ranked by the mean absolute contribution of the
        bases within ``flank`` bp, where regions of the analysis cover some.
    seed, n_bootstrap
        Of the resamples, see :func:`cislex.metrics.evaluate`.

    Raises
    ------
    InputError
        The column is missing, has text, or its values are all alike.
    """
    table = read_numbers(
        require_file(scores, what="scores of variants"), texts=(*PLACE[:1], *PLACE[2:], column)
    )
    rows = read_alleles(alleles)
    require_same_alleles(table, rows, scores, alleles)
    values = observed_numbers(rows, column, alleles)
    known = ~np.isnan(values)
    if lost := int((~known).sum()):
        logger.info("%d of %s left out: no measurement", lost, counted(len(known), "allele"))
    table, rows = table[known].reset_index(drop=True), rows[known].reset_index(drop=True)
    truth = _observations(values[known], threshold, f"{alleles}: {column}")
    with Genome(fasta, fai=fai, gzi=gzi) as genome:
        changes = _motif_changes(rows, Context(genome), motifs or {})
    found = [table[PLACE].assign(observed=truth.values), *changes.values()]
    evaluation, enrichment = [], []
    around = {target: attribution_around(rows, track, flank) for target, track in (tracks or {}).items()}
    for target in targets:
        ranked = {"effect": table[f"{target}.effect"], "logfc": table.get(f"{target}.logfc")}
        if target in around:
            ranked["attribution"] = pd.Series(around[target])
            found.append(pd.DataFrame({f"{target}.attribution": around[target]}))
        ranked |= {kind: change[f"{kind}.change"] for kind, change in changes.items()}
        found.append(table[[f"{target}.effect"]])
        q = table[f"{target}.q"].to_numpy(np.float64)
        for by, numbers in ranked.items():
            guess = None if numbers is None else numbers.to_numpy(np.float64)
            if guess is None or np.isnan(guess).all():
                continue
            keys, judged = {"target": target, "by": by}, truth
            if by == "attribution":
                covered = ~np.isnan(guess)
                judged, guess = truth.unsigned(covered), guess[covered]
                if judged.positive is None or judged.positive.all() or not judged.positive.any():
                    number = counted(len(guess), "allele")
                    logger.info("%s: nothing to compare attributions with: %s", target, number)
                    continue
            evaluation.append({**keys, **score(judged, guess, seed=seed, n_bootstrap=n_bootstrap)})
            if judged.positive is not None:
                tested = q if by == "effect" else None
                enrichment += [{**keys, **row} for row in enriched(judged.positive, guess, q=tested)]
    write_table(pd.concat(found, axis=1), files.observed)
    write_table(pd.DataFrame(enrichment, columns=ENRICHMENT), files.enrichment)
    write_table(pd.DataFrame(evaluation, columns=EVALUATION), files.evaluation)


def observed_numbers(table: pd.DataFrame, column: str, source: str | Path) -> Values:
    """Measurements of the alleles, float64 (n,); NaN where a cell is empty, ``NA`` or ``nan``."""
    if column not in table:
        raise InputError(f"{source}: no column {column}; it has {', '.join(table.columns)}")
    cells = table[column].astype("str").str.strip()
    empty = cells.str.lower().isin(["", "na", "nan", "."])
    values = pd.to_numeric(cells.mask(empty), errors="coerce")
    if (wrong := ~empty & ~np.isfinite(values)).any():
        rows = zip(table["source_line"][wrong], cells[wrong], strict=True)
        named = offenders(f"line {line}: {cell!r}" for line, cell in rows)
        raise InputError(f"{source}: {column}: {int(wrong.sum())} are not finite numbers: {named}")
    return values.to_numpy(np.float64)


def _observations(values: Values, threshold: float | None, what: str) -> Observations:
    if not len(values) or np.ptp(values) == 0:
        alike = f"all {len(values)} measurements are {values[0]:g}" if len(values) else "no measurement"
        raise InputError(
            f"{what}: {alike}; nothing can be compared: set observed to null or to another column"
        )
    classes = threshold is None and bool(np.isin(values, (0, 1)).all())
    if threshold is None and not classes:
        return Observations(values, None, classes=False)
    positive = np.abs(values) >= (0.5 if threshold is None else threshold)
    if positive.all() or not positive.any():
        low, high = np.abs(values).min(), np.abs(values).max()
        raise InputError(
            f"{what}: {int(positive.sum())} of {len(values)} measurements are at least {threshold:g}; "
            f"both kinds are needed: set observed_threshold between {low:g} and {high:g}"
        )
    return Observations(values, positive, classes=classes)


def score(truth: Observations, guess: Values, *, seed: int = 0, n_bootstrap: int = 200) -> dict[str, Any]:
    """Correlations of one kind of score where measurements are numbers, and areas where some are positive.

    Parameters
    ----------
    truth
        N measurements.
    guess
        float64 (N,); its sign matters for correlations alone.
    seed, n_bootstrap
        See :func:`cislex.metrics.evaluate`.

    Returns
    -------
    dict
        Columns of ``evaluation.tsv`` from ``n`` on; those that do not apply are absent.
    """
    options: dict[str, Any] = {
        "tasks": ["observed"],
        "split": "all",
        "n_bootstrap": n_bootstrap,
        "seed": seed,
    }
    found: dict[str, Any] = {"n": len(guess)}
    if not truth.classes:
        row = evaluate_signal(truth.values[:, None], guess[:, None], **options).iloc[0]
        found |= {name: row[name] for name in with_limits(NUMBER_SCORES)}
    if truth.positive is not None:
        labels = truth.positive[:, None].astype(np.uint8)
        row = evaluate(labels, np.abs(guess)[:, None], **options).iloc[0]
        found |= {name: row[name] for name in ("positives", *with_limits(CLASS_SCORES))}
    return found


def enriched(positive: Flags, guess: Values, *, q: Values | None = None) -> list[dict[str, Any]]:
    """Odds of positives among selected variants against the others.

    Parameters
    ----------
    positive
        bool (N,).
    guess
        Scores, float64 (N,): the strongest are those whose size is at least that of the last of a share, so
        that equal ones are selected together.
    q
        False discovery rates, (N,), for a selection by them; NaN or None without.

    Returns
    -------
    list of dict
        Columns of ``enrichment.tsv`` from ``n`` on. 0.5 is added to each count of ``odds_ratio`` and its 95 %
        limits, which therefore are finite, or NaN where none or all are selected; ``p`` is that of Fisher's
        exact test for more positives.
    """
    size, chosen = np.abs(guess), {}
    if q is not None and np.isfinite(q).any():
        chosen[f"q < {MAX_Q:g}"] = q < MAX_Q
    for share in TOP:
        last = int(np.ceil(share * len(size)))
        chosen[f"top {100 * share:g} %"] = size >= np.sort(size)[-last]
    keys = {"n": len(size), "positives": int(positive.sum())}
    return [{**keys, "selection": name, **_odds(positive, mask)} for name, mask in chosen.items()]


def _odds(positive: Flags, chosen: Flags) -> dict[str, Any]:
    counts = np.array(
        [[np.sum(positive & chosen), np.sum(~positive & chosen)],
         [np.sum(positive & ~chosen), np.sum(~positive & ~chosen)]]
    )  # fmt: skip
    raised = counts + 0.5
    told = chosen.any() and not chosen.all()  # otherwise there is nothing to compare
    middle = np.nan if not told else np.log(raised[0, 0] * raised[1, 1] / (raised[0, 1] * raised[1, 0]))
    error = _ERRORS * np.sqrt((1 / raised).sum())
    return {
        "selected": int(chosen.sum()),
        "selected_positives": int(counts[0, 0]),
        "odds_ratio": float(np.exp(middle)),
        "odds_ratio_low": float(np.exp(middle - error)),
        "odds_ratio_high": float(np.exp(middle + error)),
        "p": float(fisher_exact(counts, alternative="greater").pvalue),
    }


def _motif_changes(
    rows: pd.DataFrame, context: Context, motifs: Mapping[str, Sequence[str | Path]]
) -> dict[str, pd.DataFrame]:
    """Columns of each kind of motifs: the motif that changes most, its scores, and the change."""
    found = {}
    for kind, paths in motifs.items():
        listed = [motif for path in paths for motif in read_meme(path)]
        if not listed:
            continue
        names = np.array([*(motif.name or motif.identifier for motif in listed), ""], dtype=object)
        best = largest_changes(rows, context, listed)
        found[kind] = pd.DataFrame(
            {
                f"{kind}.motif": names[best.motif],
                f"{kind}.before": best.before,
                f"{kind}.after": best.after,
                f"{kind}.change": best.change,
            }
        )
    return found
