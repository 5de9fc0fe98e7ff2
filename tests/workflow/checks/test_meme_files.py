"""MEME files that no job could read are told with the plan, in the words of the job."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from cislex.errors import InputError
from cislex.motifs.meme_files import parse_meme
from cislex_workflow.checks import file_contents, meme_files

HEAD = "MEME version 4\n\n"
ROWS = {"A": "1 0 0 0\n0 1 0 0\n", "counts": "\n10 0 0 0\n0 10 0 0\n", "C": "0 1 0 0\n0 1 0 0\n"}


def motif(name: str, rows: str = "A", width: int = 2) -> str:
    return f"MOTIF {name} x\nletter-probability matrix: alength= 4 w= {width} nsites= 20 E= 0\n{ROWS[rows]}\n"


def config(meme: str | None = None, **motifs: str) -> dict[str, Any]:
    """Seqlets of an analysis that are named by known.txt, and an experiment of sequences of 8 bp."""
    analysis = {
        "model": "m", "regions": "r", "labels": None, "seqlets": {"databases": ["known.txt", "jaspar-fungi"]},
        "motifs": {"database": None, "databases": ["jaspar-plants", "gone.meme"]}, "hits": None,
    }  # fmt: skip
    model = {"loader": "trained", "module": None, "input_length": 8}
    insertion = {"analysis": "a", "meme": meme, "motifs": motifs, "backgrounds": {"fasta": None}}
    return {
        "models": {"m": model}, "analyses": {"a": analysis}, "insertions": {"x": insertion},
        "variants": {}, "evolution": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (HEAD + motif("M1"), ""),
        ("\ufeffmeme version 4\r\n" + motif("M1").replace("\n", "\r\n"), ""),
        ("***\nMEME - Motif discovery tool\n***\nMEME version 5.5 (Release)\n" + motif("1"), ""),
        (gzip.compress(("\n MEME version 4\n# g\xe9ne\n" + motif("M1")).encode("latin-1")), ""),
        (HEAD + motif("M1") + motif("M1", "counts"), ""),
        (">M1 name\nA [1 0]\nC [0 1]\n", "is not a MEME file: it has no line 'MEME version …'"),
        ("", "is not a MEME file: it has no line 'MEME version …'"),
        (HEAD, "contains no motifs"),
        (HEAD + motif("M1") + motif("M2") + motif("M1", "C"), "motifs with the same identifier: M1; give"),
        (gzip.compress(b"MEME version 4\n" * 90)[:40], ""),
    ],
)
def test_a_motif_database_that_no_job_could_read_is_told(tmp_path: Path, data: Any, told: str) -> None:
    path = tmp_path / "known.txt"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    found = file_contents.problems(config(meme="known.txt"), tmp_path)
    assert [line.partition(": known.txt ")[0] for line in found] == (
        ["analyses.a.seqlets", "insertions.x.meme"] if told else []
    )
    assert all(told in line for line in found)
    if told and told != "contains no motifs":
        with pytest.raises(InputError, match=r"is not a MEME file|the same identifier: M1"):
            parse_meme(path)


@pytest.mark.parametrize(
    ("text", "names", "told"),
    [
        (
            motif("M1") + motif("M2", width=9),
            [],
            "x.meme: own.meme: M2 (9 bp) is longer than the sequences of",
        ),
        (motif("M1"), ["ap1"], ""),
        (
            motif("M1") + motif("M2"),
            ["M2"],
            "x.motifs: M2 is also the identifier of a motif of own.meme",
        ),
    ],
)
def test_motifs_of_an_experiment_fit_and_have_names_of_their_own(
    tmp_path: Path, text: str, names: list[str], told: str
) -> None:
    (tmp_path / "own.meme").write_text(HEAD + text)
    found = file_contents.problems(config(meme="own.meme", **dict.fromkeys(names, "TGACTCA")), tmp_path)
    assert len(found) == bool(told)
    assert not told or f"insertions.{told}" in found[0]


def test_motifs_are_those_of_the_package(tmp_path: Path) -> None:
    path = tmp_path / "own.meme"
    path.write_text(HEAD + motif("M1") + motif("M2", "counts") + motif("M3", "C"))
    found = meme_files.motifs(path)
    assert found is not None
    assert [(m.identifier, m.rows) for m in found] == [
        (identifier, tuple(map(tuple, ppm.T.tolist()))) for identifier, _, ppm, _ in parse_meme(path)
    ]
    assert meme_files.motifs(tmp_path / "none.meme") is None
