"""How many references are enough: the fewest with which some regions agree with infinitely many.

Asked when the model is inspected (``references: {n: auto}``), of every fold and target: the worst decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cislex.attribution.methods import Method
from cislex.attribution.reference_convergence import reference_sufficiency
from cislex.chunks.attribute import ChunkJob, own_rows, region_seeds
from cislex.chunks.region_weights import RegionWeights
from cislex.errors import ConfigError
from cislex.models.loading import LoadedModel
from cislex.prediction.inspection_rows import Row
from cislex.sequences.store import SequenceStore
from cislex.targets import Target

#: Regions that are asked, evenly spread over those that a fold attributes.
REGIONS = 32
#: Columns of what is measured.
COLUMNS = ["fold", "target", "references", "regions", "agreement"]


@dataclass(frozen=True, kw_only=True)
class ReferenceChoice:
    """What is asked of how many references.

    Parameters
    ----------
    sequences
        ``sequences.h5`` of the analysis.
    sufficiency
        Correlation of contributions with those of infinitely many references that is to be reached.
    most
        Largest number of references: with these the correlation is estimated.
    seed, same_references, held_out
        See :class:`cislex.chunks.attribute.ChunkJob`: the references are those of attribution.
    """

    sequences: str | Path
    sufficiency: float
    most: int
    seed: int = 0
    same_references: bool = False
    held_out: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.sufficiency < 1:
            raise ConfigError(f"sufficiency: found {self.sufficiency}, expected above 0 and below 1")
        if self.most < 2:
            raise ConfigError(f"most: found {self.most}, expected at least 2 references")

    def measure(
        self,
        loaded: LoadedModel,
        wanted: Mapping[str, Target],
        method: Method,
        settings: Mapping[str, Any],
        *,
        fold: str,
        **way: Any,
    ) -> pd.DataFrame:
        """Agreement of one fold by number of references.

        Parameters
        ----------
        loaded, fold
            The model of this fold.
        wanted
            Targets by name.
        method, settings
            The method, whatever its number of references, and the settings that it was made from.
        way
            How it is computed: options of :func:`cislex.attribution.attribute`.

        Returns
        -------
        DataFrame
            ``COLUMNS``; agreement is the median over regions of the expected
            correlation with infinitely many references; NaN for a target without contributions. Empty for
            a fold that attributes no region.
        """
        job = ChunkJob(0, 1, fold, {}, settings, self.seed, self.same_references, held_out=self.held_out)
        found = []
        with SequenceStore(self.sequences) as store:
            rows = own_rows(store, job, 0, store.n)
            if not len(rows):
                return pd.DataFrame(columns=COLUMNS)
            rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(REGIONS, len(rows))).astype(int))]
            x = torch.from_numpy(store.read_rows(rows))
            seeds = np.concatenate([region_seeds(store, job, row, row + 1) for row in rows])
            weights = RegionWeights(store, list(wanted.values()), loaded)
            extra = {name: weights.of(rows, [target]) for name, target in wanted.items()}
        for name, target in wanted.items():
            measured = reference_sufficiency(
                loaded.model, x, method, target=target, counts=range(1, self.most + 1), seeds=seeds,
                extra_inputs=extra[name],
                allow_incomplete=True, **way,
            )  # fmt: skip
            table = measured.table.rename(columns={"expected_pearson_median": "agreement"})
            found.append(table.assign(fold=fold, target=name)[COLUMNS])
        return pd.concat(found, ignore_index=True)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The number of references, and why.

    Attributes
    ----------
    n, most
        References per region; and the largest number.
    sufficiency
        Expected correlation with infinitely many references that was to be reached.
    agreement
        The one at the worst fold and target; NaN where no target has contributions.
    worst
        That fold and target.
    measured
        Rows of ``ReferenceChoice.measure`` of all folds.
    """

    n: int
    most: int
    sufficiency: float
    agreement: float
    worst: tuple[str, str]
    measured: pd.DataFrame

    @property
    def reached(self) -> bool:
        """Whether it is as asked."""
        return self.agreement >= self.sufficiency

    @property
    def share(self) -> float:
        """Rows that the model computes for a region (and itself), of those with the largest number."""
        return (self.n + 1) / (self.most + 1)

    def reason(self) -> str:
        """Why it is this number."""
        found = f"{self.agreement:.3f} at the worst ({', '.join(self.worst)})"
        asked = f"a correlation of {self.sufficiency:g} with infinitely many references"
        if self.reached:
            saved = f"about {100 * (1 - self.share):.0f} % less to compute than with {self.most}"
            return f"the fewest with {asked} for every fold and target: {found}; {saved}"
        if self.agreement != self.agreement:
            return f"the most allowed: no target has contributions, so {asked} cannot be measured"
        return f"the most allowed, but not enough for {asked}: {found}"

    def agreements(self, fold: str) -> list[tuple[str, str, str]]:
        """Target, agreement and what that is, of one fold."""
        rows = self.measured[(self.measured["fold"] == fold) & (self.measured["references"] == self.n)]
        return [
            (
                str(row.target),
                f"{row.agreement:.3f}",
                f"correlation expected with infinitely many references, with {self.n}; median of "
                f"{row.regions} regions",
            )
            for row in rows.itertuples()
        ]


def choose_references(measured: pd.DataFrame, sufficiency: float, most: int) -> Chosen:
    """The smallest number with which every fold and target agrees as asked, or else the largest.

    Parameters
    ----------
    measured
        Rows of ``ReferenceChoice.measure`` of all folds.
    sufficiency
        Expected correlation with infinitely many references that is to be reached.
    most
        The largest number.
    """
    worst = measured.groupby("references")["agreement"].min()
    enough = worst.index[worst >= sufficiency]
    n = int(enough.min()) if len(enough) else most
    at = measured[measured["references"] == n].dropna(subset="agreement").nsmallest(1, "agreement")
    agreement, where = float("nan"), ("", "")
    if len(at):
        agreement, where = (
            float(at["agreement"].iloc[0]),
            (str(at["fold"].iloc[0]), str(at["target"].iloc[0])),
        )
    return Chosen(
        n=n, most=most, sufficiency=sufficiency, agreement=agreement, worst=where, measured=measured
    )


def with_choice(rows: Sequence[tuple[str, Row]], chosen: Chosen) -> list[tuple[str, Row]]:
    """Tell of the choice of references before the cost of a region, which then is the one with these."""
    told = []
    for fold, row in rows:
        if (row.section, row.name) == ("cost", "seconds_per_region"):
            told += [(fold, Row("agreement", *facts)) for facts in chosen.agreements(fold)]
            why = Row("references", "number", str(chosen.n), chosen.reason(), doubtful=not chosen.reached)
            told.append((fold, why))
            row = replace(row, value=f"{float(row.value) * chosen.share:.4g}")
        told.append((fold, row))
    return told
