"""Motif databases: JASPAR offline, the user's MEME file, and what is wrong with it."""

from __future__ import annotations

import gzip
from pathlib import Path

import motif_fixtures
import numpy as np
import pytest
from cislex.errors import ConfigError, InputError
from cislex.motifs.databases import fetch_motif_database
from cislex.motifs.files import MemeMotif, read_meme, write_meme

HEADER = "MEME version 4\n\nALPHABET= ACGT\n\n"


def test_jaspar_is_read_offline_and_keyed_by_matrix(planted: motif_fixtures.Planted) -> None:
    motifs = read_meme(planted.database)
    assert len(motifs) == 193
    assert [m.identifier for m in motifs] == sorted(m.identifier for m in motifs)
    reb1 = next(m for m in motifs if m.name == "REB1")
    assert reb1.identifier.startswith("MA0363.")
    np.testing.assert_allclose(reb1.ppm.sum(axis=0), 1, atol=1e-9)


def test_unknown_releases_and_collections_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"JASPAR1999.*JASPAR2026"):
        fetch_motif_database("jaspar-fungi", tmp_path / "x.meme", release="JASPAR1999")
    with pytest.raises(ConfigError, match=r"jaspar-mammals.*jaspar-vertebrates"):
        fetch_motif_database("jaspar-mammals", tmp_path / "x.meme")
    assert list(tmp_path.iterdir()) == []


def test_meme_files_survive_a_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    motifs = [MemeMotif(f"M{i}", f"name {i}", rng.dirichlet(np.ones(4), 6 + i).T, 10 + i) for i in range(3)]
    write_meme(motifs, tmp_path / "a.meme")
    fetch_motif_database(str(tmp_path / "a.meme"), tmp_path / "b.meme")
    for before, after in zip(motifs, read_meme(tmp_path / "b.meme"), strict=True):
        assert (before.identifier, before.nsites) == (after.identifier, after.nsites)
        assert after.name == before.name.replace(" ", "_")
        np.testing.assert_allclose(before.ppm, after.ppm, atol=2e-6)


def test_no_motifs_make_a_valid_file(tmp_path: Path) -> None:
    write_meme([], tmp_path / "none.meme")
    assert read_meme(tmp_path / "none.meme") == []
    with pytest.raises(InputError, match="contains no motifs"):
        fetch_motif_database(str(tmp_path / "none.meme"), tmp_path / "x.meme")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MOTIF a\n", "not a MEME file"),
        (HEADER + "MOTIF\n", "without an identifier"),
        (HEADER + "MOTIF a\nMOTIF b\n", "a has no letter-probability matrix"),
        (HEADER + "MOTIF a\nletter-probability matrix: w= 1\n0.5 0.5 0.5 0.5\n", "summing to 1"),
        (
            HEADER + "MOTIF a\nletter-probability matrix: w= 2\n1 0 0 0\n",
            ":6: motif a has 1 rows; expected 2",
        ),
        (
            HEADER + "MOTIF a\nletter-probability matrix: w= 2\n1 0 0 0\n0 1\n",
            ":8: .*four numbers",
        ),
        (HEADER + "MOTIF a\nletter-probability matrix:\n1 0 0 0\n" * 2, "repeated: a"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.meme"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_meme(path)


def test_the_script_writes_the_database(tmp_path: Path) -> None:
    out = tmp_path / "fungi.meme"
    log = motif_fixtures.run_script(
        "fetch_motif_database.py",
        tmp_path / "fetch.log",
        output={"meme": out},
        params={"database": "jaspar-fungi", "release": "JASPAR2024"},
    )
    assert "JASPAR2024" in log
    assert len(read_meme(out)) > 100


@pytest.mark.parametrize("kind", ["plain", "gzip", "mark", "latin-1", "windows"])
def test_files_as_people_have_them_are_read(tmp_path: Path, kind: str) -> None:
    text = (
        "MEME version 4\n\n MOTIF a g\u00e9ne\n\n  letter-probability matrix: w= 2 nsites= NA E= 0\n\n"
        " 1 0 0 0\n 0 1 0 0\n\nMOTIF b\nletter-probability matrix: w= 1 nsites= E= 0\n0 0 1 0\n"
        "MOTIF c\nletter-probability matrix: w= 1 nsites= 7.0 E= 1e-3\n0 0 0 1\n"
    )
    data = text.encode("latin-1" if kind == "latin-1" else "utf-8-sig" if kind == "mark" else "utf-8")
    data = data.replace(b"\n", b"\r\n") if kind == "windows" else data
    path = tmp_path / "known.meme.gz"
    path.write_bytes(gzip.compress(data) if kind == "gzip" else data)
    motifs = read_meme(path)
    assert [(m.identifier, m.name, m.nsites) for m in motifs] == [
        ("a", "g\u00e9ne", 20),
        ("b", "b", 20),
        ("c", "c", 7),
    ]
    assert motifs[0].ppm.T.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
