"""Section about completeness: how far each region's contributions are from their sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from cislex.files.tables import open_hdf5, read_regions
from cislex.report.facts import small
from cislex.report.figures.svg import delta_histogram
from cislex.report.specs import AnalysisTarget
from cislex.report.tables import numbers, read_table


@dataclass(frozen=True)
class Offender:
    """A region over the limit."""

    locus: str
    delta: str
    status: str


@dataclass(frozen=True)
class QualityView:
    """Deltas of one target; ``histogram`` is ``None`` where the method promises no completeness."""

    regions: int
    median: str
    largest: str
    histogram: Markup | None
    over: int
    dropped: int
    offenders: list[Offender]
    limit: float | None = None


def describe_quality(spec: AnalysisTarget, *, first: int = 5) -> QualityView:
    """Read the deltas from ``qc.tsv``, or from ``attributions.h5`` without it.

    Parameters
    ----------
    spec
        The target.
    first
        How many of the regions over the limit to name.
    """
    table = _read_quality(spec)
    deltas = numbers(table, "max_relative_delta")
    known = deltas.to_numpy()[np.isfinite(deltas.to_numpy())]
    bad = table["status"].isin(["fail", "dropped"])
    # Largest first: the worst region is the one to look at.
    worst = (
        table[bad].assign(delta=deltas[bad]).sort_values("delta", ascending=False, kind="stable").head(first)
    )
    offenders = [
        Offender(drawn_locus(row), small(row["delta"]), row["status"]) for _, row in worst.iterrows()
    ]
    return QualityView(
        regions=len(table),
        median=small(float(np.median(known))) if len(known) else "–",
        largest=small(float(known.max())) if len(known) else "–",
        histogram=delta_histogram(known, limit=spec.limit) if len(known) else None,
        over=int(bad.sum()),
        dropped=int((table["status"] == "dropped").sum()),
        offenders=offenders,
        limit=spec.limit,
    )


def drawn_locus(row: pd.Series) -> str:
    """``chrIV:1,200–1,400 (+)``; no strand where it has none; the name without coordinates."""
    if not str(row["chrom"]):
        return str(row["name"]) or "unnamed sequence"
    strand = {"+": " (+)", "-": " (−)"}.get(row["strand"], "")
    return f"{row['chrom']}:{int(row['start']):,}–{int(row['end']):,}{strand}"


def _read_quality(spec: AnalysisTarget) -> pd.DataFrame:
    if spec.qc is not None:
        table = read_table(
            spec.qc,
            what=f"quality of {spec.label}",
            columns=["chrom", "start", "end", "name", "strand", "max_relative_delta", "status"],
        )
        return _with_exact_deltas(table, spec)
    with open_hdf5(spec.attributions, what="report: attributions", datasets=["regions"]) as handle:
        table = read_regions(handle)
        deltas = handle["max_relative_delta"][:] if "max_relative_delta" in handle else np.nan
    table["max_relative_delta"] = deltas
    over = table["max_relative_delta"] > (spec.limit if spec.limit is not None else np.inf)
    table["status"] = np.where(over, "fail", "pass")
    return table


def _with_exact_deltas(table: pd.DataFrame, spec: AnalysisTarget) -> pd.DataFrame:
    """The table with deltas as computed, where it shows bounds; dropped regions keep what it shows."""
    with open_hdf5(spec.attributions, what="report: attributions") as handle:
        if not {"max_relative_delta", "rows"} <= handle.keys():
            return table
        rows, exact = handle["rows"][:], handle["max_relative_delta"][:]
    deltas = numbers(table, "max_relative_delta")
    deltas.iloc[rows] = exact
    return table.assign(max_relative_delta=deltas)
