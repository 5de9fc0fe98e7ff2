"""The motifs that can be planted: JASPAR's, by the name of their part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.errors import ConfigError

#: JASPAR base ids by part; ``gata1`` is only a decoy.
MOTIFS = {
    "ctcf": "MA0139", "ap1": "MA0099", "spi1": "MA0080", "gata1": "MA0035", "rest": "MA0138",
    "yy1": "MA0095", "tead4": "MA0809", "runx1": "MA0002", "foxa1": "MA0148", "klf4": "MA0039",
}  # fmt: skip
DECOY = "gata1"
RELEASE = "JASPAR2026"


@dataclass(frozen=True)
class Motif:
    """A motif: ``matrix_id``, ``name`` and probabilities float64 (4, w)."""

    matrix_id: str
    name: str
    probabilities: NDArray[np.float64]

    @property
    def width(self) -> int:
        """Width in bp."""
        return int(self.probabilities.shape[1])

    def sample(self, rng: np.random.Generator) -> NDArray[np.int8]:
        """One site: codes int8 (w,)."""
        cumulative = self.probabilities.cumsum(0)
        draws = rng.random(self.probabilities.shape[1])
        return np.minimum((draws > cumulative).sum(0), 3).astype(np.int8)


def load_motifs(parts: Iterable[str] = MOTIFS, *, release: str = RELEASE) -> dict[str, Motif]:
    """Motifs by part (keys of MOTIFS, in their order), newest version in a JASPAR release; offline."""
    from pyjaspar import jaspardb

    wanted, database, motifs = set(parts), jaspardb(release=release), {}
    for part, base_id in MOTIFS.items():
        if part not in wanted:
            continue
        found = database.fetch_motif_by_id(base_id)
        if found is None:
            raise ConfigError(f"simulate: {release} has no matrix {base_id}")
        counts = np.array([found.counts[base] for base in BASES], dtype=np.float64)
        motifs[part] = Motif(found.matrix_id, found.name, counts / counts.sum(0))
    return motifs


def meme_text(motifs: dict[str, Motif]) -> str:
    """The motifs in minimal MEME format."""
    lines = ["MEME version 4", "", f"ALPHABET= {BASES}", "", "strands: + -", ""]
    for motif in motifs.values():
        width = motif.probabilities.shape[1]
        lines.append(f"MOTIF {motif.matrix_id} {motif.name}")
        lines.append(f"letter-probability matrix: alength= 4 w= {width} nsites= 1000 E= 0")
        lines += [" ".join(f"{value:.6f}" for value in column) for column in motif.probabilities.T]
        lines.append("")
    return "\n".join(lines)
