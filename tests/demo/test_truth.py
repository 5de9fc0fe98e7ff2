"""The demo's truth: planted motifs are matched to found ones, hits to planted sites."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import motif_fixtures
import numpy as np
import pandas as pd
import pytest
from cislex.demo.truth import COLUMNS, compare_with_truth, pearson_similarity
from cislex.errors import InputError
from cislex.files.indexed_text import write_indexed_bed
from cislex.motifs.files import read_meme, reverse_complement, write_meme


def compare(
    made: motif_fixtures.Planted, found: motif_fixtures.Found, out: Path, **changed: Path | None
) -> pd.DataFrame:
    files = {
        "truth": made.truth,
        "planted": made.motifs,
        "motifs": found.table,
        "meme": found.meme,
        "hits": found.hits,
        "attributions": made.attributions,
        "database": made.database,
    }
    compare_with_truth(**{**files, **changed}, out=out)
    return pd.read_csv(out, sep="\t", keep_default_na=False)


def test_planted_motifs_are_recovered_and_their_sites_hit(
    planted: motif_fixtures.Planted, found: motif_fixtures.Found, tmp_path: Path
) -> None:
    table = compare(planted, found, tmp_path / "truth.tsv").set_index("name")
    assert table["recovered_as"].to_dict() == {"RAP1": "pos_0", "REB1": "pos_1", "GCN4": "neg_0"}
    assert table["functional"].all()
    assert (table["pearson"].astype(float) > 0.9).all()
    assert (table["hits_recall"].astype(float) > 0.7).all()
    assert (table["hits_precision"].astype(float) > 0.9).all()
    assert table.loc["REB1", "n_planted_in_regions"] == 160


def test_hits_of_words_of_a_lexicon_are_judged_by_what_the_words_are(
    planted: motif_fixtures.Planted, found: motif_fixtures.Found, tmp_path: Path
) -> None:
    """Also those of a word that is no motif of this target."""
    words = {"pos_0": "pos_7", "pos_1": "pos_0", "neg_0": "neg_5"}
    hits = pd.read_csv(found.hits, sep="\t")
    write_indexed_bed(hits.assign(motif="A name", word=hits["word"].map(words)), tmp_path / "hits.bed.gz")
    discovered = read_meme(found.meme)
    meme = [dataclasses.replace(motif, identifier=words[motif.identifier]) for motif in discovered]
    write_meme(meme, tmp_path / "words.meme")
    write_meme(discovered[1:], tmp_path / "own.meme")
    changed = {"hits": tmp_path / "hits.bed.gz", "words": tmp_path / "words.meme"}
    table = compare(planted, found, tmp_path / "t.tsv", **changed, meme=tmp_path / "own.meme")
    expected = compare(planted, found, tmp_path / "own.tsv")
    columns = ["motif", "hits", "hits_precision", "hits_recall", "hits_on_decoys"]
    pd.testing.assert_frame_equal(table[columns], expected[columns])
    assert table["recovered_as"].tolist().count("") == 1


def test_a_motif_that_drives_other_regions_is_a_decoy_here(
    planted: motif_fixtures.Planted, found: motif_fixtures.Found, tmp_path: Path
) -> None:
    sites = pd.read_csv(planted.truth, sep="\t")
    other = read_meme(planted.database)[0]
    far = sites.head(30).assign(motif=other.identifier, name=other.name, start=59_000, end=59_010)
    sites.loc[sites["name"] == "GCN4", ["functional", "assay"]] = [False, "."]
    pd.concat([sites, far]).to_csv(tmp_path / "sites.tsv", sep="\t", index=False)
    write_meme([*read_meme(planted.motifs), other], tmp_path / "planted.meme")
    table = compare(
        planted,
        found,
        tmp_path / "truth.tsv",
        truth=tmp_path / "sites.tsv",
        planted=tmp_path / "planted.meme",
        hits=None,
    ).set_index("name")
    assert table["functional"].to_dict() == {"RAP1": True, "REB1": True, "GCN4": False, other.name: False}
    assert table.loc[other.name, ["recovered_as", "assay"]].tolist() == ["", "demo"]
    assert table.loc["GCN4", ["recovered_as", "assay"]].tolist() == ["neg_0", "."]
    assert table.loc[other.name, "n_planted_in_regions"] == 0
    assert (table["hits"] == "").all()


def test_nothing_found_is_a_table_of_what_was_missed(
    planted: motif_fixtures.Planted, found: motif_fixtures.Found, tmp_path: Path
) -> None:
    write_meme([], tmp_path / "none.meme")
    (tmp_path / "none.tsv").write_text("motif\tflagged\n")
    table = compare(
        planted, found, tmp_path / "t.tsv", motifs=tmp_path / "none.tsv", meme=tmp_path / "none.meme"
    )
    assert list(table.columns) == COLUMNS
    assert (table["recovered_as"] == "").all()


def test_the_motif_of_most_seqlets_comes_first_and_not_a_composite_of_few(
    planted: motif_fixtures.Planted, found: motif_fixtures.Found, tmp_path: Path
) -> None:
    known = {motif.name: motif for motif in read_meme(planted.motifs)}
    exact = dataclasses.replace(known["RAP1"], identifier="pos_1", nsites=3)
    write_meme([*read_meme(found.meme)[:1], exact], tmp_path / "motifs.meme")
    table = compare(planted, found, tmp_path / "t.tsv", meme=tmp_path / "motifs.meme").set_index("name")
    assert table.loc["RAP1", ["recovered_as", "variants"]].tolist() == ["pos_0", "pos_1"]


def test_wrong_tables_are_named(
    planted: motif_fixtures.Planted, found: motif_fixtures.Found, tmp_path: Path
) -> None:
    (tmp_path / "sites.tsv").write_text("chrom\tstart\tend\n")
    with pytest.raises(InputError, match="lacks the columns strand, motif"):
        compare(planted, found, tmp_path / "t.tsv", truth=tmp_path / "sites.tsv")
    write_meme(read_meme(planted.motifs)[:2], tmp_path / "two.meme")
    with pytest.raises(InputError, match="lacks planted motifs MA"):
        compare(planted, found, tmp_path / "t.tsv", planted=tmp_path / "two.meme")


def test_similarity_ignores_offset_and_strand() -> None:
    rng = np.random.default_rng(0)
    motif = rng.dirichlet(np.full(4, 0.3), 8).T
    padded = np.hstack([np.full((4, 5), 0.25), motif, np.full((4, 3), 0.25)])
    assert pearson_similarity(motif, padded) == pytest.approx(1)
    assert pearson_similarity(reverse_complement(padded), motif) == pytest.approx(1)
    assert pearson_similarity(motif, rng.dirichlet(np.full(4, 0.3), 8).T) < 0.9


def test_the_script_writes_the_table_without_hits_too(
    planted: motif_fixtures.Planted, found: motif_fixtures.Found, tmp_path: Path
) -> None:
    out = tmp_path / "truth.tsv"
    log = motif_fixtures.run_script(
        "compare_with_truth.py",
        tmp_path / "truth.log",
        input={
            "truth": planted.truth,
            "planted": planted.motifs,
            "motifs": found.table,
            "meme": found.meme,
            "attributions": planted.attributions,
            "database": planted.database,
        },
        output={"table": out},
    )
    assert "3 of 3 planted motifs" in log
    assert list(pd.read_csv(out, sep="\t").columns) == COLUMNS
