"""Section about models, given or trained: what the inspection found of each fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cislex.report.specs import AnalysisTarget, TrainedModel
from cislex.report.tables import read_table


@dataclass(frozen=True)
class InspectedModel:
    """One fold: its class, number of parameters, shapes of its outputs, and where its weights come from."""

    model: str
    fold: str
    kind: str
    parameters: str
    outputs: str
    weights: str


def describe_models(
    analyses: Sequence[AnalysisTarget], trained: Sequence[TrainedModel]
) -> list[InspectedModel]:
    """Read ``inspection.tsv`` of every analysis; a fold that several analyses use is told once."""
    here = {(spec.name, spec.fold) for spec in trained}
    found: dict[tuple[str, str], InspectedModel] = {}
    for spec in analyses:
        if spec.inspection is None:
            continue
        table = read_table(
            spec.inspection,
            what=f"inspection of {spec.analysis}",
            columns=["fold", "section", "name", "value", "detail"],
        )
        for fold, rows in table.groupby("fold", sort=False):
            key = (spec.model, str(fold))
            known = rows[(rows["section"] == "model") & (rows["name"] == "class")]
            if key in found or known.empty:
                continue
            outputs = rows[rows["section"] == "output"]
            found[key] = InspectedModel(
                *key,
                kind=known["value"].iloc[0],
                parameters=known["detail"].iloc[0].removesuffix(" parameters"),
                outputs="; ".join(outputs["value"]),
                weights="trained in this run" if key in here else "given",
            )
    return list(found.values())
