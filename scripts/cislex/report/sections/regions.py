"""Section about the input: regions kept and dropped."""

from __future__ import annotations

from dataclasses import dataclass

from cislex.files.tables import open_hdf5
from cislex.report.facts import cell
from cislex.report.specs import RegionSet
from cislex.report.tables import count_rows, read_table


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
        start, end = (cell(first[name]) if first.get(name) else "" for name in ("start", "end"))
        place = f"{first.get('chrom', '')}:{start}–{end}".strip(":–")
        parts = (
            f"line {cell(first['source_line'])}" if first.get("source_line") else "",
            place,
            first.get("detail", ""),
        )
        found.append(Reason(str(reason), len(rows), ", ".join(part for part in parts if part)))
    return sorted(found, key=lambda item: -item.rows)
