"""The section on hits: of words of the lexicon by their names, of a target's own motifs as before."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from cislex.files.indexed_text import write_indexed_bed
from cislex.files.tables import write_table
from cislex.motifs.hits import COLUMNS
from cislex.report.sections.hits import HitsView, describe_hits
from cislex.report.specs import AnalysisTarget


def describe(
    folder: Path, names: tuple[str, str], drawn: list[tuple[str, int, int]], usage: Path | None = None
) -> HitsView:
    rows = [("pos_0", 10, "+", 1.0, 0.25), ("pos_0", 20, "-", 3.0, 0.75), ("neg_3", 90, "+", -2.0, 0.5)]
    frame = pd.DataFrame(rows, columns=["word", "start", "strand", "contribution", "share"])
    frame = frame.assign(
        **{"#chrom": "chr1", "motif": frame["word"].map({"pos_0": names[0], "neg_3": names[1]})}
    )
    frame = frame.assign(end=frame["start"] + 8, hit_similarity=0.9, score=900)
    write_indexed_bed(frame.reindex(columns=COLUMNS), folder / "hits.bed.gz")
    spec = AnalysisTarget(
        analysis="x", target="t", region_set="r", model="m", attributions="a.h5", motifs=None,
        hits=folder / "hits.bed.gz", usage=usage,
    )  # fmt: skip
    view = describe_hits(spec, [], drawn)
    assert view is not None
    return view


def test_words_are_called_by_their_names_in_the_table_and_the_figures(tmp_path: Path) -> None:
    view = describe(tmp_path, ("FOS", "REST"), [("chr1", 0, 50)])
    assert view.of_words
    assert [(row["motif"], row["match"], row["hits"]) for row in view.rows] == [
        ("FOS", "pos_0", "2"), ("REST", "neg_3", "1"),
    ]  # fmt: skip
    assert [view.rows[0][name] for name in view.columns] == ["0.900", "2.000", "0.500"]
    assert view.inside == {0: [(10, 18, "FOS", "+"), (20, 28, "FOS", "-")]}


def test_hits_without_a_lexicon_are_of_motifs(tmp_path: Path) -> None:
    view = describe(tmp_path, ("pos_0", "neg_3"), [])
    assert not view.of_words
    assert [(row["motif"], row["match"]) for row in view.rows] == [("pos_0", "–"), ("neg_3", "–")]


def test_seqlets_that_hits_cover_are_told_of_each_word_and_of_all(tmp_path: Path) -> None:
    rows = [("pos_0", "FOS", "t", 30, 0.9), ("pos_1", "MYC", "t", 10, 0), ("neg_3", "REST", "t", 0, ""),
            ("pos_0", "FOS", "other", 5, 0.1)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["word", "name", "target", "n_seqlets", "seqlet_recall"])
    write_table(frame.assign(analysis="x"), tmp_path / "usage.tsv")
    view = describe(tmp_path, ("FOS", "REST"), [], tmp_path / "usage.tsv")
    assert view.recall == (
        "Hits cover 68 % of TF-MoDISco's 40 seqlets of these words in this target; those of MYC by none."
    )
    assert [row["seqlets covered"] for row in view.rows] == ["90 %", "–"]
