"""Write the tutorial's practice files into a folder: a small genome, peaks, the code of a model, two weights.

Run: .venv/bin/python docs/tutorials/practice.py [FOLDER]

The genome is simulated; each of 400 peaks has a site of SPI1 and one of CTCF (JASPAR's matrices). The network
scans for both on both strands, and its two folds differ by noise in their filters, as trained ones would.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from cislex.demo.planted_motifs import load_motifs  # noqa: E402
from cislex.demo.simulation import SimulationOptions, simulate, write_fasta  # noqa: E402

WORDS, WIDTH = ["spi1", "ctcf"], 21
MODEL = f'''"""The network whose weights are fold_0.pt and fold_1.pt."""

import torch
from torch import nn


class Net(nn.Module):
    """One-hot sequences (N, 4, L) to one logit (N, 1)."""

    def __init__(self):
        super().__init__()
        self.scan = nn.Conv1d(4, {2 * len(WORDS)}, {WIDTH}, padding={WIDTH // 2})
        self.logit = nn.Linear({2 * len(WORDS)}, 1)

    def forward(self, sequences):
        return self.logit(torch.relu(self.scan(sequences)).amax(-1))


def build():
    return Net()
'''


def weights(fold: int) -> dict[str, torch.Tensor]:
    """Filters of both strands of each word; a typical site counts 1, half of its score nothing."""
    rng = np.random.default_rng(fold)
    filters = rng.normal(0, 0.01, (2 * len(WORDS), 4, WIDTH))
    for place, motif in enumerate(load_motifs(WORDS).values()):
        odds = np.log((motif.probabilities + 0.01) / 1.04 / 0.25)
        scaled = odds / (0.5 * float((motif.probabilities * odds).sum()))
        begin = (WIDTH - scaled.shape[1]) // 2
        filters[2 * place, :, begin : begin + scaled.shape[1]] += scaled
        filters[2 * place + 1, :, begin : begin + scaled.shape[1]] += scaled[::-1, ::-1]
    state = {
        "scan.weight": filters,
        "scan.bias": np.full(len(filters), -1.0),
        "logit.weight": np.ones((1, len(filters))),
        "logit.bias": np.array([-1.0]),
    }
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in state.items()}


def main(folder: Path) -> None:
    """Write the five files; an existing one is left as it is and stops the program."""
    names = ["genome.fa", "peaks.narrowPeak", "model.py", "fold_0.pt", "fold_1.pt"]
    present = [name for name in names if (folder / name).exists()]
    if present:
        sys.exit(f"{folder} has {', '.join(present)} already: choose an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    options = SimulationOptions(
        chromosomes=3, chromosome_length=100_000, peaks_per_assay=400, decoys=0, gata_fraction=0.0,
        assays={"sites": {"words": WORDS, "independent": True}},
    )  # fmt: skip
    genome, peaks, _ = simulate(options, seed=0)
    write_fasta(genome, folder / "genome.fa")
    peaks["sites"].to_csv(folder / "peaks.narrowPeak", sep="\t", header=False, index=False)
    (folder / "model.py").write_text(MODEL, encoding="utf-8")
    for fold in range(2):
        torch.save(weights(fold), folder / f"fold_{fold}.pt")
    print("wrote", ", ".join(names))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
