"""A model whose truth is known: it scans for the planted motifs, and adds what each word does to an assay.

The output of an assay is the sum of its words' sites, on both strands: a site counts by how far its log-odds
score exceeds half of that of a typical site, and a word that lowers the signal counts negatively. Of two
words with counts a and b, ``logic`` makes 1 + min(a, b) (``and``), 1 + min(1, a + b) (``or``) or
1 + a·b (``context``): without the 1, rounding would be all that a region without words has.
Nothing is trained, so what follows (attributions, motifs, lexicon, hits, syntax) is tested without a model's
errors.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from cislex.demo.grammar import LOGICS, assays_from
from cislex.demo.planted_motifs import MOTIFS
from cislex.errors import ConfigError
from cislex.files.tables import atomic_path
from cislex.motifs.files import read_meme

#: Positions of a filter, and outputs: as many as any simulation needs.
WIDTH, OUTPUTS = 21, 32
#: Probability that is added to every base of a matrix.
PSEUDO = 0.01


class PlantedModel(nn.Module):
    """Scan, threshold, sum: one-hot (N, 4, L) to signals (N, OUTPUTS)."""

    gates: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.scan = nn.Conv1d(4, 2 * len(MOTIFS), WIDTH, padding=WIDTH // 2)
        self.effects = nn.Linear(2 * len(MOTIFS), OUTPUTS, bias=False)
        # The counts of both words of outputs with another logic than a sum, of which `gates` says which.
        self.first = nn.Linear(2 * len(MOTIFS), OUTPUTS, bias=False)
        self.second = nn.Linear(2 * len(MOTIFS), OUTPUTS, bias=False)
        self.register_buffer("gates", torch.zeros(3, OUTPUTS))

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        """Signal of each assay, in the order of the config."""
        counts = torch.relu(self.scan(sequences)).sum(-1)
        a, b = self.first(counts), self.second(counts)
        both, either, context = self.gates.unbind(0)
        signals: torch.Tensor = self.gates.sum(0) + self.effects(counts) + both * (a - torch.relu(a - b))
        return signals + either * (1 - torch.relu(1 - a - b)) + context * (a * b)


def build_model() -> PlantedModel:
    """Build the network, for ``loader: factory``."""
    return PlantedModel()


def plant_model(planted: str | Path, out: str | Path, *, assays: Mapping[str, Any]) -> None:
    """Write the weights of a :class:`PlantedModel` for simulated assays.

    Parameters
    ----------
    planted
        MEME file of the planted motifs.
    out
        Written: a state dict.
    assays
        Assays as :class:`cislex.demo.simulation.SimulationOptions` takes them; output i is the i-th of them.
    """
    grammars = assays_from(assays, spacing=(0, 150))
    if len(grammars) > OUTPUTS:
        raise ConfigError(f"simulate.assays: {len(grammars)} assays; the planted model has {OUTPUTS} outputs")
    matrices = {motif.identifier.split(".")[0]: motif.ppm for motif in read_meme(planted)}
    model = PlantedModel()
    filters, biases = np.zeros((2 * len(MOTIFS), 4, WIDTH)), np.full(2 * len(MOTIFS), -1.0)
    effects, first, second = np.zeros((3, OUTPUTS, 2 * len(MOTIFS)))
    gates = np.array([[a.logic == logic for a in grammars.values()] for logic in LOGICS[1:]], dtype=float)
    for place, (part, base_id) in enumerate(MOTIFS.items()):
        if base_id not in matrices:
            continue
        chance = (matrices[base_id] + PSEUDO) / (1 + 4 * PSEUDO)
        odds = np.log(chance / 0.25)
        typical = float((matrices[base_id] * odds).sum())
        # A typical site counts 1, half of its score nothing.
        scaled, begin = odds / (0.5 * typical), (WIDTH - odds.shape[1]) // 2
        filters[2 * place, :, begin : begin + odds.shape[1]] = scaled
        filters[2 * place + 1, :, begin : begin + odds.shape[1]] = scaled[::-1, ::-1]
        for output, grammar in enumerate(grammars.values()):
            sign = -1.0 if part == grammar.lowered_by else 1.0
            plain = grammar.logic == "sum" or part == grammar.lowered_by
            own = effects if plain else first if part == grammar.words[0] else second
            own[output, 2 * place : 2 * place + 2] = sign * (part in grammar.parts)
    weights = {"scan.weight": filters, "scan.bias": biases, "effects.weight": effects}
    weights |= {"first.weight": first, "second.weight": second}
    weights["gates"] = np.pad(gates, ((0, 0), (0, OUTPUTS - len(grammars))))
    model.load_state_dict(
        {name: torch.tensor(values, dtype=torch.float32) for name, values in weights.items()}
    )
    buffer = io.BytesIO()  # a path's name would become part of the archive
    torch.save(model.state_dict(), buffer)
    with atomic_path(out) as temporary:
        temporary.write_bytes(buffer.getvalue())


def counted_sites(
    model: PlantedModel, planted: str | Path, sequences: torch.Tensor, *, output: int
) -> pd.DataFrame:
    """Sites that an output counts: those planted, if they are strong enough, and those there by chance.

    Parameters
    ----------
    model
        With the weights of :func:`plant_model`.
    planted
        MEME file of the planted motifs.
    sequences
        One-hot, float32 (N, 4, L).
    output
        Number of the output.

    Returns
    -------
    pandas.DataFrame
        ``row`` of the sequence, ``start``, ``end``, ``name`` of the motif, and ``count``: what it adds to the
        signal (a typical site 1), less than 0 for a word that lowers it.
    """
    known = {motif.identifier.split(".")[0]: motif for motif in read_meme(planted)}
    tables = [pd.DataFrame(columns=["row", "start", "end", "name", "count"])]
    with torch.no_grad():
        scores = torch.relu(model.scan(sequences))
        effects = model.effects.weight[output] + model.first.weight[output] + model.second.weight[output]
        for place, base_id in enumerate(MOTIFS.values()):
            if base_id not in known or not effects[2 * place]:
                continue
            width = known[base_id].ppm.shape[1]
            counts = (scores[:, 2 * place : 2 * place + 2] * effects[2 * place]).sum(1).numpy()
            rows, centres = np.nonzero(counts)
            starts = centres - WIDTH // 2 + (WIDTH - width) // 2
            name, count = known[base_id].name, counts[rows, centres]
            columns = {"row": rows, "start": starts, "end": starts + width, "name": name, "count": count}
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables[1:] or tables, ignore_index=True)
