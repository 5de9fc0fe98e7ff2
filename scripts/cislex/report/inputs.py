"""Sections about what went in: regions kept and dropped, and models trained in this run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from cislex.report.facts import interval, number
from cislex.report.specs import RegionSet, TrainedModel
from cislex.report.svg import curves
from cislex.report.tables import count_rows, numbers, read_table
from cislex.storage import open_hdf5


@dataclass(frozen=True)
class Reason:
    """Rows dropped for one reason, and the first of them."""

    reason: str
    rows: int
    example: str


@dataclass(frozen=True)
class RegionsView:
    """How many rows of a region set were read, kept, and dropped for what reason."""

    spec: RegionSet
    kept: int
    reasons: list[Reason]

    @property
    def dropped(self) -> int:
        """Rows dropped in all."""
        return sum(reason.rows for reason in self.reasons)

    @property
    def read(self) -> int:
        """Rows read: kept and dropped, always."""
        return self.kept + self.dropped


@dataclass(frozen=True)
class FoldView:
    """Training curve and held-out scores of one fold; ``None`` where there is no file."""

    spec: TrainedModel
    curve: Markup | None
    epochs: str
    scores: list[dict[str, str]]


def describe_regions(spec: RegionSet) -> RegionsView:
    """Count the rows of a region set."""
    if spec.regions is not None:
        kept = count_rows(spec.regions, what=f"regions {spec.name}")
    elif spec.sequences is not None:
        with open_hdf5(
            spec.sequences, what=f"report: sequences {spec.name}", datasets=["sequences"]
        ) as handle:
            kept = int(handle["sequences"].shape[0])
    else:
        kept = 0
    return RegionsView(spec, kept, _reasons(spec))


def _reasons(spec: RegionSet) -> list[Reason]:
    if spec.dropped is None:
        return []
    table = read_table(spec.dropped, what=f"dropped rows of {spec.name}", columns=["reason"])
    found = []
    for reason, rows in table.groupby("reason", sort=False):
        first = rows.iloc[0]
        place = f"{first.get('chrom', '')}:{first.get('start', '')}–{first.get('end', '')}".strip(":–")
        parts = (
            f"line {first['source_line']}" if first.get("source_line") else "",
            place,
            first.get("detail", ""),
        )
        found.append(Reason(str(reason), len(rows), ", ".join(part for part in parts if part)))
    return sorted(found, key=lambda item: -item.rows)


def describe_training(specs: Sequence[TrainedModel]) -> list[FoldView]:
    """Read training curves and held-out scores of each fold."""
    return [_describe_fold(spec) for spec in specs]


def _describe_fold(spec: TrainedModel) -> FoldView:
    what = f"model {spec.name}, {spec.fold}"
    curve, epochs = None, ""
    if spec.training is not None:
        table = read_table(spec.training, what=f"training of {what}", columns=["epoch", "train_loss"])
        xs = numbers(table, "epoch").to_numpy()
        losses = [
            (name, numbers(table, column).to_numpy())
            for name, column in (("training", "train_loss"), ("validation", "validation_loss"))
        ]
        losses = [(name, values) for name, values in losses if (values == values).any()]
        if losses and (xs == xs).all():
            curve = curves(xs, losses, label=f"Training curve of {what}")
            name, values = losses[-1]
            best = int(numbers(table, "validation_loss" if name == "validation" else "train_loss").argmin())
            epochs = f"{len(xs)} epochs; lowest {name} loss {values[best]:.4g} at epoch {xs[best]:g}"
    return FoldView(spec, curve, epochs, [] if spec.evaluation is None else _scores(spec.evaluation, what))


def _scores(path: str | Path, what: str) -> list[dict[str, str]]:
    columns = ["task", "split", "n", "positives", "auroc", "auprc"]
    table = read_table(path, what=f"evaluation of {what}", columns=columns)
    pwm = numbers(table, "pwm_auprc")
    scored = {
        score: [
            interval(*values)
            for values in zip(
                *(numbers(table, f"{score}{end}") for end in ("", "_low", "_high")), strict=True
            )
        ]
        for score in ("auroc", "auprc")
    }
    return [
        {
            **{column: str(row[column]) for column in columns[:4]},
            **{score: texts[i] for score, texts in scored.items()},
            "pwm": number(pwm.iloc[i]) if pwm.notna().any() else "",
        }
        for i, (_, row) in enumerate(table.iterrows())
    ]
