"""Section about variants: how many were scored, how many stand out, and the strongest ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import StorageError
from cislex.files.tables import require_file
from cislex.files.text_tables import read_numbers
from cislex.report.facts import count, number, probability, variant_name
from cislex.report.sections.measured_variants import MeasuredView, describe_measured
from cislex.report.sections.top_variants import AllelesView, describe_top
from cislex.report.specs import VariantTables
from cislex.report.tables import read_table
from cislex.variants.ranking import strongest

#: What is called significant; how many variants of a target, and targets of a set, the page shows.
MAX_Q = 0.05
VARIANTS_SHOWN, TARGETS_SHOWN = 10, 4
TEXTS = frozenset(["chrom", "ref", "alt", "id"])
#: Further columns of a target, where the table has them, with their headings.
COLUMNS = {
    "logfc": "Log2 fold change",
    "jsd": "Distance of profiles",
    "spread": "Spread over folds",
    "quantile": "Quantile among regions",
    "p": "p",
    "q": "q",
}


@dataclass(frozen=True)
class VariantRow:
    """A variant as the table shows it; ``cells`` follow the headings of its target."""

    variant: str
    name: str
    effect: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class VariantTargetView:
    """The strongest variants of one target."""

    target: str
    text: str
    headings: tuple[str, ...]
    rows: list[VariantRow]
    measured: MeasuredView | None
    drawn: list[AllelesView]


@dataclass(frozen=True)
class VariantsView:
    """What the page says about a set of variants.

    Parameters
    ----------
    text
        How many alleles were scored and how many were not, and why.
    targets, hidden
        Targets that are shown, and how many more the table has.
    """

    spec: VariantTables
    text: str
    targets: list[VariantTargetView]
    hidden: int


def describe_variants(specs: Sequence[VariantTables]) -> list[VariantsView]:
    """Read the scores of every set of variants.

    Raises
    ------
    StorageError
        When a table lacks columns.
    """
    return [_describe(spec) for spec in specs]


def _describe(spec: VariantTables) -> VariantsView:
    scores = read_numbers(require_file(spec.scores, what="scores of variants"), texts=TEXTS)
    targets = [target for target in spec.targets if {f"{target}.effect", f"{target}.q"} <= set(scores)]
    missing = [name for name in ("chrom", "pos", "ref", "alt") if name not in scores]
    if missing or not targets:
        lost = ", ".join(missing) or f"effects of {', '.join(spec.targets)}, or their q-values"
        raise StorageError(f"{spec.scores} lacks {lost}; delete the file and run again")
    dropped = read_table(spec.dropped, what="dropped variants", columns=["reason"])
    measured, shown = describe_measured(spec), targets[:TARGETS_SHOWN]
    drawn = describe_top(spec, shown)
    return VariantsView(
        spec=spec,
        text=_sentence(len(scores), dropped["reason"]),
        targets=[_target(scores, target, measured.get(target), drawn.get(target, [])) for target in shown],
        hidden=max(0, len(targets) - TARGETS_SHOWN),
    )


def _sentence(scored: int, reasons: pd.Series) -> str:
    said = f"{count(scored, 'allele')} scored"
    if reasons.empty:
        return f"{said}, none left out."
    listed = ", ".join(
        f"{n:,} {str(reason).replace('_', ' ')}" for reason, n in reasons.value_counts().items()
    )
    return f"{said}, {len(reasons):,} left out ({listed})."


def _target(
    scores: pd.DataFrame, target: str, measured: MeasuredView | None, drawn: list[AllelesView]
) -> VariantTargetView:
    effects = scores[f"{target}.effect"].to_numpy(np.float64)
    q = scores[f"{target}.q"].to_numpy(np.float64)
    moved = (effects != 0) | (_values(scores, f"{target}.jsd") != 0)  # a shape may change alone
    order = strongest(scores, target, len(scores))
    order = order[moved[order]][:VARIANTS_SHOWN]
    shown = [name for name in COLUMNS if _has_values(scores, f"{target}.{name}")]
    rows = []
    for row in scores.iloc[order].to_dict("records"):
        cells = ((probability if name in ("p", "q") else number)(row[f"{target}.{name}"]) for name in shown)
        rows.append(
            VariantRow(
                variant=variant_name(row["chrom"], row["pos"], row["ref"], row["alt"]),
                name="" if row.get("id", ".") == "." else row["id"],
                effect=number(row[f"{target}.effect"]),
                cells=tuple(cells),
            )
        )
    text = "No allele changes the prediction."
    if moved.any():
        text = (
            _significance(q, effects)
            if np.isfinite(q).any()
            else "Not tested (null: 0); by size of the effect."
        )
        still = int((~moved).sum())
        text += (
            f" {count(still, 'allele').capitalize()} change{'s' if still == 1 else ''} nothing."
            if still
            else ""
        )
    return VariantTargetView(target, text, tuple(COLUMNS[name] for name in shown), rows, measured, drawn)


def _significance(q: NDArray[np.float64], effects: NDArray[np.float64]) -> str:
    called = q < MAX_Q
    return (
        f"{int(called.sum()):,} of {count(len(q), 'allele')} with q < {MAX_Q:g}: "
        f"{int((called & (effects > 0)).sum()):,} raise the prediction, "
        f"{int((called & (effects < 0)).sum()):,} lower it."
    )


def _values(scores: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """A column of numbers; zeros where the table has none of them."""
    if not _has_values(scores, column):
        return np.zeros(len(scores))
    return np.nan_to_num(scores[column].to_numpy(np.float64))


def _has_values(scores: pd.DataFrame, column: str) -> bool:
    return column in scores and scores[column].dtype.kind in "fi" and bool(scores[column].notna().any())
