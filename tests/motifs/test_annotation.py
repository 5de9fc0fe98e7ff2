"""Annotation: planted motifs are named, databases are ranked apart, nothing found is a result."""

from __future__ import annotations

from pathlib import Path

import h5py
import motif_fixtures
import numpy as np
import pandas as pd
from cislex.motifs.annotation import COLUMNS, annotate_motifs
from cislex.motifs.files import consensus, information, read_meme, read_motifs, write_meme


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
        input={"motifs": found.modisco, "databases": [planted.database]},
        output={"table": tmp_path / "t.tsv", "meme": tmp_path / "m.meme", "logos": tmp_path / "logos"},
        params={
            "databases": ["jaspar-fungi"],
            "trimming": {"trim": 0.3, "min_information": 0.5, "max_width": 40},
        },
    )
    assert (tmp_path / "t.tsv").read_bytes() == found.table.read_bytes()
    assert len(list((tmp_path / "logos").iterdir())) == 9


def test_two_databases_are_ranked_each_by_its_own_q_values(
    found: motif_fixtures.Found, planted: motif_fixtures.Planted, tmp_path: Path
) -> None:
    one = [motif for motif in read_meme(planted.database) if motif.name in ("REB1", "ABF1")]
    write_meme(one, tmp_path / "few.meme")
    databases = {"jaspar": planted.database, "few": tmp_path / "few.meme"}
    files = (tmp_path / "t.tsv", tmp_path / "m.meme", tmp_path / "logos")
    annotate_motifs(found.modisco, databases, *files)
    both = pd.read_csv(files[0], sep="\t", keep_default_na=False).set_index("motif")
    alone = pd.read_csv(found.table, sep="\t", keep_default_na=False).set_index("motif")
    for motif in both.index:
        matches = [
            tuple(both.loc[motif, f"match_{r}{key}"] for key in ("_database", "_null", "", "_q"))
            for r in (1, 2, 3)
        ]
        assert [match[3] for match in matches] == sorted(match[3] for match in matches)
        assert all((name, null) in {("jaspar", "tomtom"), ("few", "shuffled")} for name, null, *_ in matches)
        best = next(match for match in matches if match[0] == "jaspar")
        assert best[2:] == (alone.loc[motif, "match_1"], alone.loc[motif, "match_1_q"])
    assert set(both.filter(like="_database").to_numpy().ravel()) == {"jaspar", "few"}
    turned = {name: databases[name] for name in ("few", "jaspar")}
    other = (tmp_path / "u.tsv", tmp_path / "n.meme", tmp_path / "other")
    annotate_motifs(found.modisco, turned, *other)
    assert other[0].read_bytes() == files[0].read_bytes()
