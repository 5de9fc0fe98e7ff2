"""2bit files hold the genome: Biopython's reader finds every letter, also unknown and soft-masked ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO
from cislex.errors import InputError
from cislex.regions.twobit import write_twobit


@pytest.mark.parametrize("seed", range(3))
def test_sequences_are_read_back_letter_by_letter(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    texts = {"c1": "NNNacgtNTTa", "c2": "A", "c3": "nnRYac", "empty": "", "c4": "N" * 9}
    for i in range(3):
        texts[f"random{i}"] = "".join(rng.choice(list("ACGTacgtNn"), int(rng.integers(1, 4000))))
    lines = [f">{name} more\n{text[:7]}\n{text[7:]}\n" for name, text in texts.items()]
    (tmp_path / "g.fa").write_text("".join(lines))
    assert write_twobit(tmp_path / "g.fa", tmp_path / "g.2bit") == len(texts)
    with open(tmp_path / "g.2bit", "rb") as handle:
        found = {record.id: str(record.seq) for record in SeqIO.parse(handle, "twobit")}
    unknown = str.maketrans("RYry", "NNnn")
    assert found == {name: text.translate(unknown) for name, text in texts.items()}


def test_what_is_no_fasta_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text("")
    with pytest.raises(InputError, match="no FASTA record"):
        write_twobit(tmp_path / "g.fa", tmp_path / "g.2bit")
    assert [path.name for path in tmp_path.iterdir()] == ["g.fa"]
