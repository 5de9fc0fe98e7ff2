"""Tables by themselves: whole lines, the columns of docs/output.md, numbers where numbers belong."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cislex.errors import StorageError, offenders
from cislex.verification.findings import FileReport, Results

#: Rows that are held at once.
PART_ROWS = 100_000
#: Bytes that are looked at at once.
BLOCK = 1 << 22
#: Columns that hold a probability, or a share, whatever table they are in.
SHARES = re.compile(
    r"(.*[._])?(p|q|auroc|auprc|match_p|match_q|word_p|word_q|pwm_auroc|pwm_auprc)(_low|_high)?$"
)


@dataclass(frozen=True)
class Table:
    """What a table must look like.

    Parameters
    ----------
    columns
        Names of the first columns, in order. ``:i`` is appended where every cell is a whole number, ``:f``
        where each is a number or empty; columns named like p, q or AUROC are in 0 to 1 besides.
    more
        What further columns may hold: ``f``: numbers; ``s``: texts; ``""``: there may be none.
    numbers
        Pattern of further columns that hold numbers.
    """

    columns: str
    more: str = ""
    numbers: str = "(?!)"
    names: list[str] = field(init=False)
    kinds: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        pairs = [part.partition(":") for part in self.columns.split()]
        object.__setattr__(self, "names", [name for name, _, _ in pairs])
        object.__setattr__(self, "kinds", {name: kind or "s" for name, _, kind in pairs})

    def kind_of(self, column: str) -> str:
        """``i``, ``f`` or ``s``."""
        if column in self.kinds:
            return self.kinds[column]
        return "f" if self.more == "f" or re.fullmatch(self.numbers, column) else "s"


_REGION = "chrom start:i end:i name strand"
_LIMITS = "{0}:f {0}_low:f {0}_high:f"
_ALLELE = "chrom pos:i ref alt id"
#: By name of the kind in :data:`cislex.verification.kinds.KINDS`.
TABLES: dict[str, Table] = {
    "chromosomes": Table("chrom length:i md5"),
    "regions": Table("#chrom start:i end:i name score strand peak_start:i peak_end:i source_line:i"),
    "summary of regions": Table("rows:i dropped:i digest"),
    "dropped rows": Table("source_line:i chrom start end reason detail"),
    "adjusted rows": Table("source_line:i chrom start end reason detail"),
    "simulated truth": Table("chrom start:i end:i strand motif name assay functional peak"),
    "simulated grammar": Table("assay kind motif_a name_a motif_b name_b orientation least:f most:f", "s"),
    "training": Table("epoch:i train_loss:f validation_loss:f", "f"),
    "evaluation of training": Table("task split n:i", "f"),
    "baseline": Table("task split pwm_id pwm_name", "f"),
    "held-out predictions": Table("split chrom start:i end:i origin", "s", r".*\.(observed|predicted)"),
    "table of predictions": Table(_REGION, "f"),
    "observed": Table(_REGION, "f"),
    "evaluation": Table("target labels split chrom n:i", "f"),
    "inspection": Table("fold section name value detail"),
    "windows": Table(_REGION + " row:i window_start:i rank:i size:f share:f"),
    "quality table": Table(
        _REGION + " row:i prediction:f reference_prediction:f max_relative_delta:f status"
    ),
    "motifs": Table(
        "motif sign n_seqlets:i width:i consensus information:f flagged", "s",
        r"match_\d_[pq]|subpatterns|trim_start|trim_end",
    ),
    "positions": Table(
        "word part start:f end:f hits:i forward:i observed:f expected:f odds:f p:f q:f word_hits:i "
        "word_regions:i several:i hits_per_region:f name"
    ),
    "syntax": Table(
        "word_a word_b orientation distance:f observed:f expected:f odds:f p:f q:f test name_a name_b"
    ),
    "periodicity": Table(
        "word_a word_b orientation series n:i period:f power:f autocorrelation:f p:f q:f name_a name_b"
    ),
    "hits": Table(
        "#chrom start:i end:i motif score:f strand word pattern hit_coefficient:f hit_similarity:f "
        "contribution:f share:f analysis region", "s", "contribution_error|log_odds|p",
    ),
    "seqlets": Table(
        "chrom start:i end:i name strand sign p:f q:f contribution:f sequence", "s",
        "match_[pq]|word_[pq]|contribution_error",
    ),
    "recovered motifs": Table("motif name assay functional recovered_as variants p:f q:f pearson:f", "f"),
    "recovered grammar": Table("assay kind name_a name_b word_a word_b orientation found_orientation", "s"),
    "lexicon": Table(
        "word name sign n_patterns:i n_seqlets:i width:f consensus match match_q:f database composite_of "
        "match_name match_p:f n_targets:i information:f flagged pattern trim_start:f trim_end:f match_null"
    ),
    "members of the lexicon": Table(
        "analysis target pattern word orientation offset:f motif sign n_seqlets:i consensus similarity:f "
        "left_out contribution:f"
    ),
    "usage": Table(
        "word name analysis target n_seqlets:i n_hits:f n_regions:i mean_contribution:f sign n_patterns:i "
        "n_hit_regions:f mean_hit_contribution:f seqlet_recall:f"
    ),
    "dropped variants": Table("source_line:i chrom pos ref alt id reason detail"),
    "alleles": Table("source_line:i chrom start:i ref alt id at:i before after", "s"),
    "variants": Table(
        _ALLELE, "s",
        r".+\.(effect|logfc|[pq]|spread|jsd|quantile|reference|alternative)",
    ),
    "top variants": Table(
        f"target rank:i {_ALLELE} effect:f q:f word name change width:f before:f after:f "
        "contribution_before:f contribution_after:f before_start:f before_strand after_start:f after_strand"
    ),
    "evaluation of variants": Table("target by n:i", "f"),
    "enrichment": Table("target by n:i positives:i selection selected:i selected_positives:i", "f"),
    "observed variants": Table(_ALLELE + " observed:f", "s", r".+\.(before|after|change|attribution|effect)"),
    "inserts": Table("word name source width:i inserted"),
    "insertions": Table(
        "target kind word_a name_a word_b name_b orientation distance:f n:i before:f effect:f low:f high:f "
        "p:f q:f expected:f cooperativity:f cooperativity_low:f cooperativity_high:f cooperativity_p:f "
        "cooperativity_q:f spread:f scale start_a:f start_b:f"
    ),
    "contexts": Table("target word name n:i own:f", "f"),
    "sites": Table("chrom start:i end:i name strand word region", "f"),
    "comparison": Table("target analysis_a analysis_b regions:i", "f"),
    "compared regions": Table(f"target analysis_a analysis_b row:i {_REGION}", "f"),
    "methods": Table("target analysis model method", "s"),
    "curves": Table("target analysis curve order bases:f share:f prediction:f normalised:f"),
    "curves of one analysis": Table("target curve order bases:f share:f prediction:f normalised:f"),
    "pairs of planted words": Table("target analysis name_a name_b regions:i", "f"),
    "logos of regions": Table("target analysis row:i name position:i base contribution:f"),
    "faithfulness": Table("target regions:i", "f"),
    "contrasted hits": Table(
        "chrom start:i end:i word name strand region first:f second:f difference:f", "f"
    ),
    "contrasted words": Table("word name hits:i regions:i first:f second:f difference:f", "f"),
    "sides": Table("side analysis target folds:i has_hits scale:f"),
    "trajectories": Table(
        "sequence round:i position_0based:f from to objective:f", "s",
        "prediction_.*|promised|skipped_noops|skipped_cycles|refused",
    ),
    "cost": Table("analysis regions:f counted", "s"),
}  # fmt: skip


def check_table(results: Results, report: FileReport, **_: str) -> None:
    """Check a table by itself: lines, columns, types."""
    path, wanted = results.path(report.path), TABLES[report.kind]
    count, header = _check_lines(path, report)
    report.facts["n"] = count
    told = f"has the columns {', '.join(header[:12])}; expected {', '.join(wanted.names)}"
    first = header[: len(wanted.names)] == wanted.names and (wanted.more or len(header) == len(wanted.names))
    if not report.require("columns", bool(first), told):
        report.facts["unreadable"] = True
        return
    place = 0
    for part in parts_of(path):
        for column in part:
            _check_cells(part[column], str(column), wanted.kind_of(str(column)), place, report)
        place += len(part)
    report.check("types")


def parts_of(path: Path, columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
    """A table in parts, every cell as text."""
    yield from pd.read_csv(
        path, sep="\t", dtype="str", na_filter=False, quoting=csv.QUOTE_NONE, index_col=False,
        usecols=columns, chunksize=PART_ROWS,
    )  # fmt: skip


def column(path: Path, *names: str) -> pd.DataFrame:
    """Some columns of a table, as text; all rows."""
    parts = list(parts_of(path, list(names)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({name: [] for name in names})


def _check_lines(path: Path, report: FileReport) -> tuple[int, list[str]]:
    """Number of rows, and the header; every line must be whole and have as many cells."""
    tabs, count, header, tail, wrong = None, 0, [""], b"", []
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as handle:
        while data := handle.read(BLOCK):
            lines = (tail + data).split(b"\n")
            tail = lines.pop()
            for line in lines:
                if tabs is None:
                    tabs = line.count(b"\t")
                    header = line.decode(errors="replace").split("\t")
                    continue
                if line.count(b"\t") != tabs:
                    wrong.append(count)
                count += 1
                if b"\0" in line:
                    raise StorageError(f"row {count} holds bytes that are no text")
            b"\n".join(lines).decode()  # UTF-8, or an error that tells where
    report.require("lines", not tail and tabs is not None, "ends within a line")
    report.require(
        "lines", not wrong, f"another number of cells than in the header in rows {offenders(wrong)}"
    )
    if tail or tabs is None or wrong:
        raise StorageError("cannot be read as a table")
    return count, header


def _check_cells(cells: pd.Series, name: str, kind: str, place: int, report: FileReport) -> None:
    """Whether the cells of a column are numbers in its range."""
    if kind == "s" or not len(cells):
        return
    values = pd.to_numeric(cells.where(cells != ""), errors="coerce").to_numpy(np.float64)
    filled = (cells != "").to_numpy()
    bad = ~np.isfinite(values) & filled
    if kind == "i":
        bad |= ~filled | (np.floor(values) != values)
    if SHARES.match(name):
        bad |= filled & ((values < 0) | (values > 1))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        report.faults.append(
            f"column {name}: {int(bad.sum())} cells are not as expected, the first one {cells.iloc[row]!r} "
            f"in row {place + row}"
        )
