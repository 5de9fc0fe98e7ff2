"""Compare analyses of the same regions: how far they agree, and how good each is by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.comparison import columns
from cislex.comparison.agreement import Standardised, agreement, measures, quartiles, standardise
from cislex.comparison.planted import planted_auprc, read_planted
from cislex.comparison.scores import Floats, Rows, Scores, Source, blocks, contributions, open_scores
from cislex.errors import ConfigError, InputError
from cislex.files.tables import REGION_COLUMNS, require_file, write_table, write_table_parts
from cislex.files.text_tables import read_numbers
from cislex.logs import get_logger, progress
from cislex.sequences.store import to_codes

#: What is compared of two analyses: scores of the bases that are there, and of all four bases.
SCORES = ("contributions", "hypothetical")
#: Bytes of scores and of what is made of them that are held at once.
BLOCK_BYTES = 1 << 27
#: Bases around the greatest contributions that are kept for logos.
LOGO_WIDTH = 60
LOGO_COLUMNS = ["target", "analysis", "row", "name", "position", "base", "contribution"]

Values = NDArray[np.float32]
logger = get_logger(__name__)


@dataclass(frozen=True)
class Analysis:
    """One of the analyses that are compared.

    Parameters
    ----------
    sources
        Its scores for each target.
    method
        Texts that describe it, for the first columns of ``methods.tsv``.
    measured
        Folder with ``faithfulness.tsv``, ``curves.tsv`` and ``words.tsv``, or None.
    inspection
        ``inspection.tsv``, for the time a region takes, or None.
    """

    sources: Mapping[str, Source]
    method: Mapping[str, str]
    measured: str | Path | None = None
    inspection: str | Path | None = None


@dataclass(frozen=True)
class ComparisonFiles:
    """What :func:`compare_methods` writes."""

    comparison: str | Path
    regions: str | Path
    methods: str | Path
    curves: str | Path
    words: str | Path
    logos: str | Path


@dataclass
class _Target:
    """What is collected of one target while its regions are read."""

    name: str
    rows: Rows
    pairs: dict[tuple[str, str], Values]
    auprc: dict[str, Floats]
    share: Floats
    strength: Floats


def compare_methods(
    analyses: Mapping[str, Analysis],
    files: ComparisonFiles,
    *,
    top: Sequence[int] = (10, 20, 50),
    yardstick: str | None = None,
    truth: str | Path | None = None,
    logos: int = 3,
) -> None:
    """Compare analyses pair by pair in every region that all of them have.

    Parameters
    ----------
    analyses
        At least two, of the same regions and targets.
    files
        Written.
    top
        Numbers of top-scored entries whose overlap is measured.
    yardstick
        The analysis with which ``methods.tsv`` compares the others.
    truth
        ``truth.tsv`` of a simulated genome, for the localisation of planted bases.
    logos
        Regions of each target that are kept for logos: those with the greatest contributions
        of the yardstick, or of the first analysis.

    Raises
    ------
    ConfigError, InputError, StorageError
        Nothing is left under the names of files that were not complete.
    """
    if len(analyses) < 2 or (yardstick is not None and yardstick not in analyses):
        raise ConfigError(
            f"expected two analyses or more, and the yardstick among them; found {', '.join(analyses)} "
            f"and yardstick {yardstick}"
        )
    collected: list[_Target] = []
    kept: list[pd.DataFrame] = []
    names = next(iter(analyses.values())).sources

    def parts() -> Iterator[pd.DataFrame]:
        for target in names:
            own = {name: analysis.sources[target] for name, analysis in analyses.items()}
            with open_scores(own) as (scores, rows):
                found = _Target(target, rows, {}, {}, np.zeros(len(rows)), np.zeros(len(rows)))
                collected.append(found)
                leading = scores[yardstick or next(iter(scores))]
                yield from _compare(found, scores, top, truth, leading)
                kept.append(_logos(found, scores, logos))

    write_table_parts(parts(), files.regions)
    pairs = pd.concat([_summary(target, top) for target in collected], ignore_index=True)
    write_table(pairs, files.comparison)
    write_table(_methods(analyses, collected, pairs, yardstick), files.methods)
    write_table(pd.concat(kept, ignore_index=True), files.logos)
    curves = ["target", "analysis", *columns.CURVES[1:]]
    write_table(_measured(analyses, "curves", curves), files.curves)
    write_table(_measured(analyses, "words", columns.WORDS), files.words)
    logger.info("%d analyses, %d targets, %d pairs", len(analyses), len(names), len(pairs))


def _columns(top: Sequence[int]) -> list[str]:
    return [f"{kind}.{measure}" for kind in SCORES for measure in measures(top)]


def _compare(
    found: _Target,
    scores: Mapping[str, Scores],
    top: Sequence[int],
    truth: str | Path | None,
    leading: Scores,
) -> Iterator[pd.DataFrame]:
    """Rows of ``regions.tsv.gz``, block by block; fills ``found``."""
    first = next(iter(scores.values()))
    regions = first.regions().iloc[np.searchsorted(first.rows, found.rows)].reset_index(drop=True)
    planted = None if truth is None else read_planted(truth, regions)
    n, columns = len(found.rows), _columns(top)
    found.pairs = {pair: np.full((n, len(columns)), np.nan, np.float32) for pair in combinations(scores, 2)}
    found.auprc = {name: np.full(n, np.nan) for name in scores}
    size = BLOCK_BYTES // (len(scores) * 4 * first.length * 8 * 5)
    empty = pd.DataFrame(columns=["target", "analysis_a", "analysis_b", "row", *REGION_COLUMNS, *columns])
    yield empty
    for places in progress(blocks(np.arange(n), size), total=n, label=found.name, weight=max(1, size)):
        ready: dict[str, list[Standardised]] = {}
        masks = None if planted is None else [planted.mask(int(i), first.length) for i in places]
        for name, source in scores.items():
            hypothetical, sequences = source.read(found.rows[places])
            own = contributions(hypothetical, sequences)
            ready[name] = [standardise(own, top), standardise(hypothetical.reshape(len(places), -1), top)]
            if source is leading:
                found.strength[places] = np.abs(own).sum(axis=1)
            if masks is not None:
                found.auprc[name][places] = [planted_auprc(o, m) for o, m in zip(own, masks, strict=True)]
                found.share[places] = [mask.mean() for mask in masks]
        for (a, b), values in found.pairs.items():
            both = zip(ready[a], ready[b], strict=True)
            values[places] = np.concatenate([agreement(one, two, top) for one, two in both], axis=1)
            table = regions.iloc[places].reset_index(drop=True)
            for place, column in enumerate(("target", "analysis_a", "analysis_b")):
                table.insert(place, column, (found.name, a, b)[place])
            table.insert(3, "row", found.rows[places])
            measured = pd.DataFrame(values[places].astype(np.float64), columns=columns)
            yield pd.concat([table, measured], axis=1)


def _summary(found: _Target, top: Sequence[int]) -> pd.DataFrame:
    """Rows of ``comparison.tsv``: medians and quartiles of each pair, and how many regions are undefined."""
    rows = []
    for (a, b), values in found.pairs.items():
        row: dict[str, Any] = {
            "target": found.name, "analysis_a": a, "analysis_b": b, "regions": len(found.rows),
        }  # fmt: skip
        for place, column in enumerate(_columns(top)):
            own = values[:, place].astype(np.float64)
            if column.endswith(".pearson"):
                row[column.replace("pearson", "undefined")] = int(np.isnan(own).sum())
            low, row[column], high = quartiles(own)
            row |= {f"{column}_q1": low, f"{column}_q3": high}
        rows.append(row)
    return pd.DataFrame(rows)


def _methods(
    analyses: Mapping[str, Analysis],
    collected: Sequence[_Target],
    pairs: pd.DataFrame,
    yardstick: str | None,
) -> pd.DataFrame:
    """Rows of ``methods.tsv``: each analysis by itself, for each target."""
    measured = _measured(analyses, "faithfulness", ["target", "analysis", *columns.FAITHFULNESS[1:]])
    measured = measured.rename(columns={"regions": "faithfulness_regions"})
    rows = []
    for found in collected:
        of_target = pairs[pairs["target"] == found.name]
        for name, analysis in analyses.items():
            row: dict[str, Any] = {"target": found.name, "analysis": name, **analysis.method}
            row |= {"regions": len(found.rows), "seconds_per_region": _seconds(analysis.inspection)}
            with open_scores({name: analysis.sources[found.name]}) as (scores, _):
                deltas = scores[name].values("max_relative_delta")
            known = deltas[~np.isnan(deltas)]
            row["median_delta"] = np.median(known) if len(known) else np.nan
            row["max_delta"] = known.max() if len(known) else np.nan
            for kind in SCORES:
                row[f"yardstick.{kind}"] = _with(of_target, name, yardstick, f"{kind}.pearson")
            row["planted_auprc"] = quartiles(found.auprc[name])[1]
            has = ~np.isnan(found.auprc[name])
            row |= {
                "planted_regions": int(has.sum()),
                "planted_share": found.share[has].mean() if has.any() else np.nan,
            }
            rows.append(row)
    return pd.DataFrame(rows).merge(measured, on=["target", "analysis"], how="left", sort=False)


def _with(pairs: pd.DataFrame, name: str, yardstick: str | None, column: str) -> float:
    """Median agreement of an analysis with the yardstick, 1 of the yardstick itself."""
    if yardstick is None:
        return float("nan")
    both = {name, yardstick}
    own = pairs[[{a, b} == both for a, b in zip(pairs["analysis_a"], pairs["analysis_b"], strict=True)]]
    return float(own[column].iloc[0]) if len(own) else 1.0


def _seconds(inspection: str | Path | None) -> float:
    """Seconds that a region takes, of all folds together, as ``inspect_model`` measured them."""
    if inspection is None:
        return float("nan")
    table = read_numbers(
        require_file(inspection, what="inspection"), texts=("fold", "section", "name", "value", "detail")
    )
    own = table.loc[(table["section"] == "cost") & (table["name"] == "seconds_per_region"), "value"]
    if own.empty:
        raise InputError(f"{inspection} has no row seconds_per_region")
    return float(own.astype(float).sum())


def _measured(analyses: Mapping[str, Analysis], name: str, columns: Sequence[str]) -> pd.DataFrame:
    """A table of all analyses that were measured; empty where none was."""
    found = []
    for analysis, settings in analyses.items():
        if settings.measured is not None:
            texts = ("target", "curve", "order", "name_a", "name_b")
            path = require_file(Path(settings.measured) / f"{name}.tsv", what=name)
            found.append(read_numbers(path, texts=texts).assign(analysis=analysis))
    filled = [table for table in found if len(table)]
    table = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
    return table.reindex(columns=list(columns))


def _logos(found: _Target, scores: Mapping[str, Scores], n: int) -> pd.DataFrame:
    """Contributions of every analysis around the strongest bases of the strongest regions."""
    strongest = np.sort(np.argsort(-found.strength, kind="stable")[:n])
    first = next(iter(scores.values()))
    names = first.regions()["name"].iloc[np.searchsorted(first.rows, found.rows[strongest])].to_numpy()
    read = {name: source.read(found.rows[strongest]) for name, source in scores.items()}
    parts = []
    for place, row in enumerate(found.rows[strongest]):
        own = {name: contributions(h[place][None], x[place][None])[0] for name, (h, x) in read.items()}
        relative = sum(np.abs(values) / (np.abs(values).sum() or 1.0) for values in own.values())
        width = min(LOGO_WIDTH, first.length)
        sums = np.convolve(relative, np.ones(width), mode="valid")
        span = np.arange(width) + int(np.argmax(sums))
        x = read[next(iter(read))][1][place][:, span]
        bases = np.array(list(BASES + "N"))[to_codes(x)]
        for name, values in own.items():
            columns = (found.name, name, int(row), names[place], span, bases, values[span])
            parts.append(pd.DataFrame(dict(zip(LOGO_COLUMNS, columns, strict=True))))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=LOGO_COLUMNS)
