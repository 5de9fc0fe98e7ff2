"""Motif databases: JASPAR offline, the user's MEME file, and what is wrong with it."""

from __future__ import annotations

import gzip
from pathlib import Path

import memelite.io
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
        (HEADER + "MOTIF a\nletter-probability matrix:\n0 7 0 0\n1 0 0.5 0\n", ":8: .*whole counts"),
        (HEADER + "MOTIF a\nletter-probability matrix:\n0 7 0 0\n.5 0 .5 0\n", ":7: .*or only counts"),
        ("MEME version 4\nALPHABET= ACDEFGHIKLMNPQRSTVWY\n", ":2: the alphabet is ACDEF.*expected DNA"),
        (
            HEADER
            + "".join(f"MOTIF a\nletter-probability matrix:\n{row}\n" for row in ("1 0 0 0", "0 1 0 0")),
            r"different motifs have the same identifier: a;",
        ),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.meme"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_meme(path)


@pytest.mark.parametrize("compared", [False, True])
def test_the_script_writes_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compared: bool
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    out = tmp_path / "fungi.meme"
    log = motif_fixtures.run_script(
        "fetch_motif_database.py",
        tmp_path / "fetch.log",
        output={"meme": out},
        params={"database": "jaspar-fungi", "release": "JASPAR2024"},
        config={"analyses": {"a": {"motifs": None, "seqlets": {} if compared else None}}},
    )
    assert "JASPAR2024" in log
    assert ("preparing TOMTOM" in log) == compared
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


MEME_OUTPUT = """********************************************************************************
MEME - Motif discovery tool
********************************************************************************
MEME version 5.5.7 (Release date: Wed Jun 19 13:59:04 2024 -0700)

ALPHABET= ACGT
Background letter frequencies (from file dataset with add-one prior applied):
A 0.308 C 0.192 G 0.192 T 0.308

********************************************************************************
MOTIF TG MEME-1\twidth =   2  sites =  18  llr = 249  E-value = 1.1e-006
********************************************************************************
\tMotif TG MEME-1 Description
Simplified        A  :2
pos.-specific     C  :2
--------------------------------------------------------------------------------
\tMotif TG MEME-1 sites sorted by position p-value
Sequence name            Start   P-value         Site
ce1cg                       63  1.26e-06 TTTT TG AAAA
--------------------------------------------------------------------------------
\tMotif TG MEME-1 position-specific scoring matrix
log-odds matrix: alength= 4 w= 2 n= 1602 bayes= 6.46687 E= 1.1e-006
  -1081   -1081   -1081     170
   -140   -1081     220    -140
--------------------------------------------------------------------------------
\tMotif TG MEME-1 position-specific probability matrix
--------------------------------------------------------------------------------
letter-probability matrix: alength= 4 w= 2 nsites= 18 E= 1.1e-006
 0.000000\t 0.000000  0.000000  1.000000
 0.111111  0.000000  0.777778  0.111111
--------------------------------------------------------------------------------
\tMotif TG MEME-1 regular expression
TG
--------------------------------------------------------------------------------
MOTIF  2\twidth =    1  sites =  3
letter-probability matrix: alength= 4 w= 1 nsites= 3 E= 1
1 0 0 0
--------------------------------------------------------------------------------
SUMMARY OF MOTIFS
"""
MINIMAL = """MEME version 3.0

ALPHABET= ACGT

strands: + -

Background letter frequencies (from uniform background):
A 0.25000 C 0.25000 G 0.25000 T 0.25000

MOTIF MA0004.1 Arnt

letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0
  0.200000\t  0.800000\t  0.000000\t  0.000000
  0.950000\t  0.000000\t  0.050000\t  0.000000

URL http://jaspar.genereg.net/matrix/MA0004.1

MOTIF MA0006.1  Arnt
letter-probability matrix: alength= 4 w= 1
  0 0.5 0.5 0
"""


@pytest.mark.parametrize("text", [MEME_OUTPUT, MINIMAL, MINIMAL.replace("\n", "\r\n")])
def test_memelite_reads_the_same_matrices(tmp_path: Path, text: str) -> None:
    (tmp_path / "known.meme").write_bytes(text.encode())
    peer = list(memelite.io.read_meme(str(tmp_path / "known.meme")).values())
    motifs = read_meme(tmp_path / "known.meme")
    assert len(motifs) == len(peer) == 2
    for motif, matrix in zip(motifs, peer, strict=True):
        np.testing.assert_allclose(motif.ppm, matrix / matrix.sum(axis=0), atol=1e-12)


def test_the_output_of_meme_names_its_motifs(tmp_path: Path) -> None:
    (tmp_path / "meme.txt").write_text(MEME_OUTPUT)
    motifs = read_meme(tmp_path / "meme.txt")
    assert [(m.identifier, m.name, m.nsites) for m in motifs] == [("TG", "MEME-1", 18), ("2", "2", 3)]


@pytest.mark.parametrize(
    ("header", "row", "column"),
    [
        (
            "meme version 4\nalphabet= acgt\nmotif x\nLetter-Probability Matrix:",
            "0 0 7 1",
            [0, 0, 7 / 8, 1 / 8],
        ),
        (
            "MEME version 4\nMOTIF x\nletter-probability matrix: nsites=9",
            "12 0 2 2",
            [3 / 4, 0, 1 / 8, 1 / 8],
        ),
        ("MEME version 5\nALPHABET= AGUC\nMOTIF x\nletter-probability matrix:", "1 0 0 0", [1, 0, 0, 0]),
        ("MEME version 5\nALPHABET= TGCA\nMOTIF x\nletter-probability matrix:", "1 0 0 0", [0, 0, 0, 1]),
    ],
)
def test_counts_lower_case_and_other_orders_of_bases(
    tmp_path: Path, header: str, row: str, column: list[float]
) -> None:
    (tmp_path / "x.meme").write_text(f"{header}\n{row}\n")
    (motif,) = read_meme(tmp_path / "x.meme")
    assert motif.ppm[:, 0].tolist() == column
    assert motif.nsites == (9 if "nsites" in header else 8 if row == "0 0 7 1" else 20)


def test_a_repeated_motif_is_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x.meme").write_text(MINIMAL + MINIMAL)
    assert [m.identifier for m in read_meme(tmp_path / "x.meme")] == ["MA0004.1", "MA0006.1"]
    assert "2 motifs repeated" in caplog.text
