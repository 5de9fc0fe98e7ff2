"""Annotation: planted motifs are named, q-values are Benjamini-Hochberg, nothing found is a result."""

from __future__ import annotations

from pathlib import Path

import h5py
import motif_fixtures
import numpy as np
import pandas as pd
import pytest
from cislex.errors import InputError
from cislex.motifs.annotation import COLUMNS, adjust_p_values, annotate_motifs, compare_motifs
from cislex.motifs.files import consensus, information, read_meme, read_motifs, reverse_complement
from hypothesis import given
from hypothesis import strategies as st


def test_planted_motifs_are_among_the_matches(found: motif_fixtures.Found) -> None:
    table = pd.read_csv(found.table, sep="\t").set_index("motif")
    names = [f"match_{rank}_name" for rank in (1, 2, 3)]
    for motif, name in (("pos_0", "RAP1"), ("pos_1", "REB1"), ("neg_0", "GCN4")):
        assert name in table.loc[motif, names].tolist()
        assert table.loc[motif, "match_1_q"] < 1e-3
    assert (table["match_1_p"] <= table["match_2_p"]).all()
    assert table["sign"].tolist() == ["+", "+", "-"]
    assert list(table.reset_index().columns) == COLUMNS


def test_the_meme_file_holds_the_trimmed_motifs_with_their_sites(found: motif_fixtures.Found) -> None:
    table = pd.read_csv(found.table, sep="\t").set_index("motif")
    for motif in read_meme(found.meme):
        assert motif.ppm.shape[1] == table.loc[motif.identifier, "width"]
        assert motif.nsites == table.loc[motif.identifier, "n_seqlets"]
        assert consensus(motif.ppm) == table.loc[motif.identifier, "consensus"]


def test_each_motif_has_its_logos(found: motif_fixtures.Found) -> None:
    table = pd.read_csv(found.table, sep="\t")
    expected = {f"{m}{kind}" for m in table["motif"] for kind in (".svg", ".rc.svg", ".match.svg")}
    assert {path.name for path in found.logos.iterdir()} == expected
    assert set(table["logo"]) | set(table["match_logo"]) <= expected


def test_annotation_is_deterministic_and_replaces_old_logos(
    found: motif_fixtures.Found, planted: motif_fixtures.Planted, tmp_path: Path
) -> None:
    logos = tmp_path / "logos"
    logos.mkdir()
    (logos / "old.svg").write_text("old")
    annotate_motifs(found.modisco, planted.database, tmp_path / "t.tsv", tmp_path / "m.meme", logos)
    assert (tmp_path / "t.tsv").read_bytes() == found.table.read_bytes()
    assert (tmp_path / "m.meme").read_bytes() == found.meme.read_bytes()
    assert {p.name: p.read_bytes() for p in logos.iterdir()} == {
        p.name: p.read_bytes() for p in found.logos.iterdir()
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["logos", "m.meme", "t.tsv"]


def test_no_motifs_make_valid_files(planted: motif_fixtures.Planted, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "modisco.h5", "w") as handle:
        handle.attrs["window_size"] = 200
    files = (tmp_path / "motifs.tsv", tmp_path / "motifs.meme", tmp_path / "logos")
    annotate_motifs(tmp_path / "modisco.h5", planted.database, *files)
    table = pd.read_csv(files[0], sep="\t")
    assert table.empty
    assert list(table.columns) == COLUMNS
    assert read_meme(files[1]) == []
    assert list(files[2].iterdir()) == []


def test_a_motif_matches_itself_and_its_reverse_complement(planted: motif_fixtures.Planted) -> None:
    known = read_meme(planted.database)
    number = next(n for n, motif in enumerate(known) if motif.name == "ABF1")
    ppm = known[number].ppm
    similar = compare_motifs([ppm, reverse_complement(ppm)], [m.ppm for m in known], threads=1)
    for query in (0, 1):
        assert similar.best(query, 1)[0] == number
        assert similar.strand[query, number] == query
        assert similar.q[query, number] < 1e-6


def test_matrices_of_another_shape_are_refused() -> None:
    good = np.full((4, 6), 0.25)
    with pytest.raises(InputError, match=r"query 1 \(6, 4\)"):
        compare_motifs([good, good.T], [good], threads=1)
    with pytest.raises(InputError, match="target 0"):
        compare_motifs([good], [good * np.nan], threads=1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_values_follow_benjamini_and_hochberg(values: list[float]) -> None:
    p = np.array(values)
    expected = [
        min(1.0, min(p[j] * len(p) / (p <= p[j]).sum() for j in range(len(p)) if p[j] >= p[i]))
        for i in range(len(p))
    ]
    np.testing.assert_allclose(adjust_p_values(p), expected, rtol=1e-12)


def test_information_and_consensus_of_known_columns() -> None:
    ppm = np.array([[1.0, 0.5, 0.25], [0.0, 0.5, 0.25], [0.0, 0.0, 0.25], [0.0, 0.0, 0.25]])
    np.testing.assert_allclose(information(ppm), [2, 1, 0])
    assert consensus(ppm) == "Aa."


def test_hits_and_annotation_see_the_same_motifs(found: motif_fixtures.Found) -> None:
    table = pd.read_csv(found.table, sep="\t", keep_default_na=False)
    assert [(m.name, m.start, m.end) for m in read_motifs(found.modisco)] == list(
        table[["motif", "trim_start", "trim_end"]].itertuples(index=False, name=None)
    )


def test_the_script_writes_the_same_files(
    found: motif_fixtures.Found, planted: motif_fixtures.Planted, tmp_path: Path
) -> None:
    motif_fixtures.run_script(
        "annotate_motifs.py",
        tmp_path / "annotate.log",
        input={"motifs": found.modisco, "database": planted.database},
        output={"table": tmp_path / "t.tsv", "meme": tmp_path / "m.meme", "logos": tmp_path / "logos"},
        params={"trimming": {"trim": 0.3, "min_information": 0.5, "max_width": 40}},
    )
    assert (tmp_path / "t.tsv").read_bytes() == found.table.read_bytes()
    assert len(list((tmp_path / "logos").iterdir())) == 9


def matrix(text: str) -> np.ndarray:
    return np.array([[0.97 if base == letter else 0.01 for letter in text] for base in "ACGT"])


@pytest.mark.parametrize(
    "known", [["CTGAAGTC"], ["GGGGCCCCAT", "CTGAAGTC"], ["TTTTTTTT", "CTGAAGTC", "CAGGTG"]]
)
def test_few_known_motifs_claim_no_match_by_chance(known: list[str]) -> None:
    similar = compare_motifs([matrix("AAGTGAAG"), matrix("AAAAAAAA")], [matrix(k) for k in known], threads=1)
    assert (similar.q > 0.05).all()


@pytest.mark.parametrize("others", [0, 5, 23])
def test_a_true_match_is_claimed_among_few_known_motifs(others: int) -> None:
    rng = np.random.default_rng(1)
    known = ["TTACCCGG", *("".join(rng.choice(list("ACGT"), 9)) for _ in range(others))]
    queries = [matrix("TTACCCGGAA"), matrix("CATGACGT")]
    similar = compare_motifs(queries, [matrix(k) for k in known], threads=1)
    assert similar.q[0, 0] <= 0.02
    assert similar.q[1].min() > 0.05
    assert similar.best(0, 1)[0] == 0


def test_few_known_motifs_claim_at_the_rate_that_q_promises() -> None:
    rng = np.random.default_rng(2)
    drawn = [matrix("".join(rng.choice(list("ACGT"), 9))) for _ in range(43)]
    found = [compare_motifs([query], drawn[:3], threads=1).q.min() <= 0.1 for query in drawn[3:]]
    assert sum(found) <= 9  # 4 of 40 are expected; more than 9 come in 1 of 200 trials


def test_the_null_is_that_of_tomtom_from_25_known_motifs_on() -> None:
    rng = np.random.default_rng(3)
    known = [matrix("".join(rng.choice(list("ACGT"), 9))) for _ in range(25)]
    similar = compare_motifs(known[:2], known, threads=1)
    np.testing.assert_array_equal(similar.q, adjust_p_values(similar.p))
    assert (compare_motifs(known[:2], known[:24], threads=1).q >= 2 / 4999).all()
