"""The report's section on seqlets: agreement with the lexicon, and motifs that only seqlets show."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from cislex.files.tables import write_table
from cislex.motifs.seqlets import COLUMNS
from cislex.report import AnalysisTarget
from cislex.report.sections.seqlets import describe_seqlets


def spec(path: Path | None) -> AnalysisTarget:
    return AnalysisTarget(
        analysis="a", target="t", region_set="r", model="m", attributions="x", motifs=None, seqlets=path
    )


def rows(match: str, word: str, number: int, *, q: float = 0.001, null: str = "tomtom") -> list[dict]:
    return [
        {
            "chrom": "chr1", "start": 10 * n, "end": 10 * n + 8, "name": f"peak{n % 3}", "strand": "+",
            "sign": "+" if n else "-", "p": 1e-9, "q": 0.01, "contribution": 0.5, "sequence": "ACGTACGT",
            "match": match, "match_name": match.lower(), "match_p": q, "match_q": q,
            "database": "jaspar-fungi.JASPAR2026", "word": word, "word_name": word, "word_p": 0.1,
            "word_q": 0.1, "null": null,
        }
        for n in range(number)
    ]  # fmt: skip


def test_the_share_with_a_word_and_rare_motifs_are_told(tmp_path: Path) -> None:
    made = [
        *rows("COMMON", "pos_0", 6), *rows("COMMON", "", 2), *rows("RARE", "", 4), *rows("ONCE", "", 1),
        *rows("CHANCE", "", 7, q=0.4),
    ]  # fmt: skip
    path = tmp_path / "seqlets.tsv.gz"
    write_table(pd.DataFrame(made, columns=COLUMNS), path)
    view = describe_seqlets(spec(path))
    assert view is not None
    assert view.text == (
        "20 seqlets in 3 regions: 15 raise and 5 lower the prediction. 6 (30 %) match a word of the lexicon "
        "(q ≤ 0.05). 13 (65 %) match a known motif (q ≤ 0.05)."
    )
    assert [(row.name, row.seqlets, row.regions, row.source) for row in view.rows] == [
        ("rare", "4", "3", "JASPAR2026 fungi")
    ]
    assert view.has_words
    assert view.hidden == 0


def test_shuffled_columns_no_seqlets_and_no_file_are_told(tmp_path: Path) -> None:
    path = tmp_path / "seqlets.tsv.gz"
    made = [{**row, "word_q": None} for row in rows("M", "", 3, null="shuffled")]
    write_table(pd.DataFrame(made, columns=COLUMNS), path)
    view = describe_seqlets(spec(path))
    assert view is not None
    assert not view.has_words
    assert view.text.endswith("come from seqlets with shuffled columns: few motifs are known.")
    write_table(pd.DataFrame(columns=COLUMNS), path)
    assert describe_seqlets(spec(path)).text == "No seqlet is significant."
    assert describe_seqlets(spec(None)) is None
