"""Part of the section about variants: how well effects agree with what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cislex.report.facts import count, equation, interval, number, probability
from cislex.report.specs import VariantTables
from cislex.report.tables import read_table

#: What the page calls the scores that variants are ranked by.
RANKED_BY = {
    "effect": "effect",
    "logfc": "fold change",
    "attribution": "attribution around",
    "words": "best change of a word's site",
    "known": "best change of a known motif's site",
}
SCORES = {"pearson": "Pearson", "spearman": "Spearman", "auroc": "AUROC", "auprc": "AUPRC"}


@dataclass(frozen=True)
class MeasuredView:
    """Agreement of a target with the measurements; ``rows`` follow ``headings``."""

    text: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


def describe_measured(spec: VariantTables) -> dict[str, MeasuredView]:
    """Read what measured variants say of each target; nothing where none were measured."""
    if spec.evaluation is None or spec.enrichment is None:
        return {}
    needed = ["target", "by", "n", "positives"]
    scores = read_table(spec.evaluation, what="evaluation of variants", columns=[*needed, *SCORES])
    odds = read_table(
        spec.enrichment, what="enrichment of variants", columns=[*needed, "selection", "odds_ratio", "p"]
    )
    return {
        str(target): _describe(part, odds[odds["target"] == target])
        for target, part in scores.groupby("target", sort=False)
    }


def _describe(scores: pd.DataFrame, odds: pd.DataFrame) -> MeasuredView:
    shown = [name for name in SCORES if _numbers(scores[name]).notna().any()]
    selections = list(dict.fromkeys(odds["selection"]))
    rows = []
    for row in scores.to_dict("records"):
        by = str(row["by"])
        cells = [interval(*(_number(row[f"{name}{end}"]) for end in ("", "_low", "_high"))) for name in shown]
        own = odds[odds["by"] == by].set_index("selection")
        for selection in selections:
            if selection not in own.index:
                cells.append("–")
                continue
            found = own.loc[selection]
            p = equation(probability(_number(found["p"])), "p")
            cells.append(f"{number(_number(found['odds_ratio']), 2)} ({p})")
        rows.append((RANKED_BY.get(by, by), *cells))
    positives = _number(scores["positives"].iloc[0])
    said = f"{count(int(_number(scores['n'].iloc[0])), 'measured allele')}"
    if positives == positives:
        said += f", {int(positives):,} of them positive"
    headings = (*(SCORES[name] for name in shown), *(f"Odds ratio, {name}" for name in selections))
    return MeasuredView(f"{said}. Intervals are 95 %.", headings, rows)


def _numbers(cells: pd.Series) -> pd.Series:
    return pd.to_numeric(cells, errors="coerce")


def _number(cell: object) -> float:
    return float(str(cell)) if str(cell) not in ("", "nan") else float("nan")
