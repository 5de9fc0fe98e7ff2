"""Sections about what was found: motifs, hits, and the truth where it is known."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from cislex.report.facts import cell, decimals, label, probability
from cislex.report.specs import AnalysisTarget
from cislex.report.tables import numbers, read_hits, read_table

MEDIA = {".svg": "image/svg+xml", ".png": "image/png"}
Place = tuple[str, int, int]

#: A match with a larger q-value is likely chance: it is shown, but names nothing on the page.
WEAK_Q = 0.05

#: Columns of ``hits.bed.gz`` whose mean is told for each motif.
MEANS = {"hit_similarity": "mean similarity", "contribution": "mean contribution"}
#: How numbers of ``truth.tsv`` are written; others are counts.
TRUTH_NUMBERS: dict[str, Callable[[float], str]] = {
    "q": probability,
    **{name: lambda value: decimals(value, 3) for name in ("pearson", "hits_precision", "hits_recall")},
}
#: Columns of ``truth.tsv`` that are told in words, or are of little use on the page.
TRUTH_IN_WORDS = {"motif", "name", "assay", "functional", "recovered_as", "variants", "p", "n_planted"}


@dataclass
class Pictures:
    """Files turned into data URIs, up to a number of bytes for the page; beyond it they are left out.

    An SVG as the source of an ``img`` runs no script and shares no ids with the page.
    """

    budget: int
    used: int = 0
    left_out: int = field(default=0, init=False)

    def embed(self, path: Path) -> str | None:
        """Return a data URI, or ``None`` where there is no such file or no room."""
        media = MEDIA.get(path.suffix.lower())
        if media is None or not path.is_file():
            return None
        data = _encode(path.read_bytes(), path.suffix.lower())
        if self.used + len(data) > self.budget:
            self.left_out += 1
            return None
        self.used += len(data)
        return f"data:{media}{data}"


def _encode(content: bytes, suffix: str) -> str:
    """Encode a file for a data URI; an SVG stays text, which is a quarter shorter than base64."""
    if suffix != ".svg":
        return ";base64," + base64.b64encode(content).decode()
    text = content.decode("utf-8", errors="replace").strip()
    # Single quotes need no escape inside an attribute of the page in double quotes.
    text = text if "'" in text else text.replace('"', "'")
    return "," + quote(text.replace("\n", " "), safe=" =:;,.()/'-")


@dataclass(frozen=True)
class Match:
    """A known motif that resembles one found."""

    matrix: str
    name: str
    p: str
    q: str
    weak: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.matrix})" if self.name and self.name != self.matrix else self.matrix


@dataclass(frozen=True)
class MotifView:
    """One row of the motif table."""

    name: str
    sign: str
    seqlets: int
    width: str
    consensus: str
    information: str
    flagged: str
    matches: list[Match]
    logo: str | None
    reverse: str | None
    match_logo: str | None
    composite: bool = False

    @property
    def best(self) -> Match | None:
        """The best match, if it is one that chance would hardly give."""
        return self.matches[0] if self.matches and not self.matches[0].weak else None

    @property
    def short(self) -> str:
        """The match's name, else the motif's own: for labels in figures."""
        if not self.best:
            return self.name
        return (self.best.name or self.best.matrix) + (" composite" if self.composite else "")

    @property
    def known(self) -> str:
        """The best match, or that the pattern is a composite with it, or a dash."""
        if not self.best:
            return "–"
        return f"composite with {self.best}" if self.composite else str(self.best)


@dataclass(frozen=True)
class HitsView:
    """Hits by motif, and the hits inside the regions that the page draws."""

    total: int
    columns: list[str]
    rows: list[dict[str, str]]
    inside: dict[int, list[tuple[int, int, str]]]


@dataclass(frozen=True)
class Planted:
    """One planted motif: ``role`` is driving, elsewhere (drives other regions) or decoy (drives nothing)."""

    motif: str
    name: str
    role: str
    assay: str
    found_as: str
    cells: list[str]


@dataclass(frozen=True)
class TruthView:
    """What was planted and what came back."""

    columns: list[str]
    rows: list[Planted]
    driving: int
    recovered: int
    decoys: int
    decoys_found: int


def describe_motifs(
    spec: AnalysisTarget,
    pictures: Pictures,
    doubtful: Pictures,
    *,
    flagged: int = 15,
    composite: Callable[[int, str], bool] = lambda width, matrix: False,
) -> list[MotifView]:
    """Read ``motifs.tsv`` and the logos it names; the most frequent motif first, flagged ones last.

    Parameters
    ----------
    spec
        The target.
    pictures, doubtful
        Take the logos of motifs and of flagged ones, which must not use up the room of the others.
    flagged
        How many of the flagged motifs get a logo: noise gives many wide ones, which make a page heavy.
    composite
        Says of a pattern's width (bp) and its best match's identifier whether it holds more than that.
    """
    if spec.motifs is None:
        return []
    table = read_table(
        spec.motifs,
        what=f"motifs of {spec.label}",
        columns=["motif", "sign", "n_seqlets", "width", "consensus", "information", "flagged", "logo"],
    )
    table = table.assign(order=numbers(table, "n_seqlets").fillna(0), last=table["flagged"] != "")
    table = table.sort_values(["last", "order"], ascending=[True, False], kind="stable")
    folder = None if spec.logos is None else Path(spec.logos)
    drawn = (table["last"].cumsum() <= flagged).tolist()
    return [
        _motif(row, folder if draw else None, doubtful if row["flagged"] else pictures, composite)
        for (_, row), draw in zip(table.iterrows(), drawn, strict=True)
    ]


def _motif(
    row: pd.Series, folder: Path | None, pictures: Pictures, composite: Callable[[int, str], bool]
) -> MotifView:
    def picture(name: str) -> str | None:
        # Only the last part of a name: a table cannot make the page read files elsewhere.
        return pictures.embed(folder / Path(name).name) if folder is not None and Path(name).name else None

    whole, matches = not row["flagged"], _matches(row)
    return MotifView(
        name=row["motif"],
        sign=row["sign"],
        seqlets=int(row["order"]),
        width=row["width"],
        consensus=row["consensus"],
        information=cell(row["information"], lambda value: decimals(value, 2)),
        flagged=row["flagged"],
        matches=matches,
        logo=picture(row["logo"]),
        reverse=picture(f"{row['motif']}.rc.svg") if whole else None,
        match_logo=picture(row.get("match_logo") or f"{row['motif']}.match.svg") if whole else None,
        composite=bool(matches) and composite(int(row["width"] or 0), matches[0].matrix),
    )


def _matches(row: pd.Series) -> list[Match]:
    matches = []
    for rank in range(1, 10):
        matrix = row.get(f"match_{rank}", "")
        if matrix:
            cells = [row.get(f"match_{rank}_{key}", "") for key in ("name", "p", "q")]
            p, q = (cell(text, probability) if text else "" for text in cells[1:])
            matches.append(Match(matrix, cells[0], p, q, weak=_is_weak(cells[2])))
    return matches


def _is_weak(q: str) -> bool:
    try:
        return float(q) > WEAK_Q
    except ValueError:
        return False


def describe_hits(
    spec: AnalysisTarget, motifs: Sequence[MotifView], drawn: Sequence[Place]
) -> HitsView | None:
    """Count hits by motif and find those inside the regions that the page draws.

    Parameters
    ----------
    spec
        The target; ``None`` is returned where it has no hits.
    motifs
        Its motifs, for their names.
    drawn
        Chromosome (or sequence name), start and end of each region drawn, in the page's order.
    """
    if spec.hits is None:
        return None
    known = {motif.name: motif for motif in motifs}
    inside: dict[int, list[tuple[int, int, str]]] = {}
    sums: list[pd.DataFrame] = []
    for block in read_hits(spec.hits):
        for index, place in enumerate(drawn):
            found = _hits_within(block, place)
            inside.setdefault(index, []).extend(
                (start, end, known[name].short if name in known else name) for start, end, name in found
            )
        columns = {"hits": 1, "plus": block["strand"] == "+", "minus": block["strand"] == "-"}
        means = {title: numbers(block, name) for name, title in MEANS.items() if name in block.columns}
        sums.append(
            pd.DataFrame({"name": block["name"], **columns, **means}).groupby("name").sum(min_count=1)
        )
    if not sums:
        return HitsView(0, [], [], inside)
    total = pd.concat(sums).groupby(level=0).sum(min_count=1)
    means_of = [title for title in MEANS.values() if title in total.columns]
    total = total.sort_values("hits", ascending=False, kind="stable")
    rows = [_hits_row(str(name), row, known.get(str(name)), means_of) for name, row in total.iterrows()]
    return HitsView(int(total["hits"].sum()), means_of, rows, inside)


def _hits_within(block: pd.DataFrame, place: Place) -> list[tuple[int, int, str]]:
    chrom, start, end = place
    here = block[block["chrom"] == chrom]
    starts, ends = numbers(here, "start"), numbers(here, "end")
    here = here[(starts >= start) & (ends <= end)]
    return [(int(hit["start"]), int(hit["end"]), hit["name"]) for _, hit in here.iterrows()]


def _hits_row(name: str, row: pd.Series, motif: MotifView | None, means: Sequence[str]) -> dict[str, str]:
    cells = {"motif": name, "match": motif.known if motif else "–"}
    counts = {column: f"{int(row[column]):,}" for column in ("hits", "plus", "minus")}
    return {**cells, **counts, **{column: decimals(row[column] / row["hits"], 3) for column in means}}


def describe_truth(spec: AnalysisTarget) -> TruthView | None:
    """Read what was planted; ``None`` for real data."""
    if spec.truth is None:
        return None
    table = read_table(
        spec.truth, what=f"truth of {spec.label}", columns=["motif", "functional", "recovered_as"]
    )
    columns = [str(name) for name in table.columns if name not in TRUTH_IN_WORDS]
    rows = [_planted(row, columns) for _, row in table.iterrows()]
    rows.sort(key=lambda row: ("driving", "elsewhere", "decoy").index(row.role))
    driving = [row for row in rows if row.role == "driving"]
    decoys = [row for row in rows if row.role == "decoy"]
    return TruthView(
        columns=[label(name) for name in columns],
        rows=rows,
        driving=len(driving),
        recovered=sum(bool(row.found_as) for row in driving),
        decoys=len(decoys),
        decoys_found=sum(bool(row.found_as) for row in decoys),
    )


def _planted(row: pd.Series, columns: Sequence[str]) -> Planted:
    elsewhere = row.get("assay", "").strip(".")
    role = "elsewhere" if elsewhere else "decoy"
    if row["functional"].lower() in ("true", "1"):
        role = "driving"
    variants = row.get("variants", "")
    found = row["recovered_as"] + (f" (variants {variants.replace(',', ', ')})" if variants else "")
    cells = [cell(row[name], TRUTH_NUMBERS.get(name)) for name in columns]
    return Planted(row["motif"], row.get("name", ""), role, elsewhere, found, cells)
