"""Compare predictions with labels of the same regions: one table of both, and one of scores."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.files.tables import require_file, write_table
from cislex.files.text_tables import read_numbers
from cislex.logs import get_logger
from cislex.metrics import evaluate, evaluate_signal, with_limits
from cislex.prediction.labels import LabelSource, Origin, is_classes, read_labels
from cislex.regions.aliases import read_aliases
from cislex.regions.chromosome_table import read_sizes
from cislex.regions.extraction import locus, read_regions_bed

#: Columns that every row of ``evaluation.tsv`` has.
KEYS = ["target", "labels", "split", "chrom", "n"]
CLASS_SCORES, NUMBER_SCORES = ("auroc", "auprc"), ("pearson", "spearman", "rmse")
#: A chromosome with fewer labelled regions has no row of its own.
LEAST_REGIONS = 20
PLACE = ["chrom", "start", "end", "name", "strand"]

logger = get_logger(__name__)


def evaluate_predictions(
    predictions: str | Path,
    regions: str | Path,
    observed: str | Path,
    evaluation: str | Path,
    *,
    labels: Mapping[str, Mapping[str, Any]],
    peaks: str | Path | None = None,
    file_format: str = "auto",
    chromosomes: str | Path | None = None,
    aliases: str | Path | None = None,
    held_out: Collection[str] | None = None,
    seed: int = 0,
    n_bootstrap: int = 200,
) -> None:
    """Compare predicted targets with labels.

    Parameters
    ----------
    predictions
        ``predictions.tsv``.
    regions
        ``regions.bed``, row i for row i of the predictions.
    observed
        Written: ``chrom, start, end, name, strand``, ``held_out`` where it is known, and
        ``{target}.observed`` and ``{target}.predicted`` of each labelled target; empty where a label is
        missing.
    evaluation
        Written: see :func:`score`.
    labels
        Fields of :class:`cislex.prediction.labels.LabelSource`, by target.
    peaks, file_format
        Peak file of the regions, where they have one.
    chromosomes
        Table with ``chrom`` and ``length`` of the genome, where regions lie on one.
    aliases
        Table of other names of chromosomes.
    held_out
        Chromosomes that no fold behind a prediction was trained on; None where nobody knows.
    seed, n_bootstrap
        Seed and number of the resamples of 95 % intervals.

    Raises
    ------
    ConfigError, InputError
        A target was not predicted, or its labels do not fit (see
        :func:`cislex.prediction.labels.read_labels`).
    """
    table, places = _read_predictions(predictions, labels), read_regions_bed(regions)
    _require_same(table, places, predictions, regions)
    lengths: dict[str, int] = {}
    if chromosomes is not None:
        lengths = read_sizes(chromosomes)
    origin = Origin(peaks=peaks, file_format=file_format, lengths=lengths, aliases=read_aliases(aliases))
    unseen = None if held_out is None else table["chrom"].isin(set(held_out)).to_numpy()
    columns: dict[str, Any] = {} if unseen is None else {"held_out": unseen.astype(int)}
    found = []
    for target, settings in labels.items():
        source = LabelSource(**settings)
        truth = read_labels(source, places, origin, target=target)
        columns |= {f"{target}.observed": truth, f"{target}.predicted": table[target]}
        if none := int(np.isnan(truth).sum()):
            logger.warning("%s: %d of %d regions have no label and are skipped", target, none, len(truth))
        found.append(
            score(
                truth,
                table[target].to_numpy(np.float64),
                target=target,
                classes=is_classes(truth, source),
                chroms=table["chrom"],
                unseen=unseen,
                seed=seed,
                n_bootstrap=n_bootstrap,
            )
        )
    write_table(pd.concat([table[PLACE], pd.DataFrame(columns, index=table.index)], axis=1), observed)
    write_table(pd.concat(found, ignore_index=True), evaluation)


def score(
    observed: NDArray[np.float64],
    predicted: NDArray[np.float64],
    *,
    target: str,
    classes: bool,
    chroms: pd.Series,
    unseen: NDArray[np.bool_] | None = None,
    seed: int = 0,
    n_bootstrap: int = 200,
) -> pd.DataFrame:
    """Score one target: over all regions, those that were held out or seen in training, and by chromosome.

    Parameters
    ----------
    observed
        float64 (N,), NaN where there is no label.
    predicted
        float64 (N,); for classes any number that ranks regions.
    target
        Name of the target.
    classes
        Whether labels are 0 and 1.
    chroms
        Chromosome of each region, (N,); empty without coordinates.
    unseen
        Whether each region was held out, (N,); None where nobody knows.
    seed, n_bootstrap
        See :func:`cislex.metrics.evaluate`.

    Returns
    -------
    DataFrame
        One row a split: ``KEYS``, ``positives`` of classes, and ``CLASS_SCORES`` or ``NUMBER_SCORES``, each
        with its 95 % limits ``_low`` and ``_high``. Scores of a part whose labels are all alike are NaN.

    Raises
    ------
    InputError
        When all labels are alike, or a prediction is not finite.
    """
    known = ~np.isnan(observed)
    truth, guess = observed[known], predicted[known]
    parts = _parts(chroms[known].to_numpy(object), None if unseen is None else unseen[known])
    rows = []
    for split, chrom, mask in parts:
        whole = split == "all" and not chrom
        keys: dict[str, Any] = {
            "target": target, "labels": "classes" if classes else "numbers",
            "split": split, "chrom": chrom, "n": int(mask.sum()),
        }  # fmt: skip
        if classes:
            keys["positives"] = int(truth[mask].sum())
        if not whole and (mask.sum() < 2 or np.ptp(truth[mask]) == 0):
            rows.append(keys)
            continue
        scores = _score_part(
            truth[mask], guess[mask], target=target, classes=classes, seed=seed, n_bootstrap=n_bootstrap
        )
        rows.append({**keys, **scores})
    wanted = with_limits(CLASS_SCORES if classes else NUMBER_SCORES)
    return pd.DataFrame(rows, columns=[*KEYS, *(["positives"] if classes else []), *wanted])


def _score_part(
    truth: NDArray[np.float64],
    guess: NDArray[np.float64],
    *,
    target: str,
    classes: bool,
    seed: int,
    n_bootstrap: int,
) -> dict[str, float]:
    options: dict[str, Any] = {"tasks": [target], "split": "all", "n_bootstrap": n_bootstrap, "seed": seed}
    if classes:
        table = evaluate(truth[:, None].astype(np.uint8), guess[:, None], **options)
    else:
        table = evaluate_signal(truth[:, None], guess[:, None], **options)
        # A quantile of the roots is the root of the quantile.
        table[with_limits(["rmse"])] = np.sqrt(table[with_limits(["mse"])])
    names = with_limits(CLASS_SCORES if classes else NUMBER_SCORES)
    return {name: float(table[name][0]) for name in names}


def _parts(
    chroms: NDArray[np.object_], unseen: NDArray[np.bool_] | None
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Split, chromosome and rows of each row of the evaluation."""
    yield "all", "", np.ones(len(chroms), dtype=bool)
    splits = np.full(len(chroms), "all", dtype=object)
    if unseen is not None:
        splits = np.where(unseen, "held_out", "seen").astype(object)
        for split in ("held_out", "seen"):
            if (splits == split).any():
                yield split, "", splits == split
    names, counts = np.unique(chroms[chroms != ""].astype(str), return_counts=True)
    if len(names) > 1:
        for name in names[counts >= LEAST_REGIONS]:
            mask = chroms == name
            yield str(splits[mask][0]), str(name), mask


def _read_predictions(path: str | Path, labels: Collection[str]) -> pd.DataFrame:
    require_file(path, what="predictions")
    table = read_numbers(path, texts=("chrom", "name", "strand"))
    lost = [target for target in labels if target not in table or target in PLACE]
    if lost or not labels:
        raise ConfigError(
            f"labels: no target {offenders(lost) or 'at all'}; {path} has {', '.join(table.columns[5:])}"
        )
    return table


def _require_same(
    table: pd.DataFrame, places: pd.DataFrame, predictions: str | Path, regions: str | Path
) -> None:
    same = len(table) == len(places) and all(
        (table[name].to_numpy() == places[name].to_numpy()).all() for name in PLACE
    )
    if not same:
        first = "" if len(table) != len(places) else f", first {_first_difference(table, places)}"
        raise InputError(
            f"{predictions} ({len(table)} rows) and {regions} ({len(places)} rows) contain different regions"
            f"{first}; rerun the prediction"
        )


def _first_difference(table: pd.DataFrame, places: pd.DataFrame) -> str:
    differs = (table[PLACE].to_numpy(object) != places[PLACE].to_numpy(object)).any(axis=1)
    row = int(np.argmax(differs))
    return f"row {row}: {locus(table.iloc[row])} and {locus(places.iloc[row])}"
