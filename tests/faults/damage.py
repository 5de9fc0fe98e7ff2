"""Damaged inputs of a stage: files that were cut, changed in a bit or a sector, or belong to another run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from small_disk import Trials

#: Files of earlier stages that a stage reads, of which every byte is checked.
READS = {
    "predict_regions": ("sequences.h5", "weights.pt"),
    "attribute_chunk": ("sequences.h5", "weights.pt"),
    "aggregate_chunks": ("sequences.h5", "chunk.h5"),
    "gate_attributions": ("attributions.h5",),
    "choose_windows": ("attributions.h5",),
    "export_tracks": ("attributions.h5",),
    "export_layouts": ("attributions.h5", "contributions.bw", "hits.bed.gz"),
    "export_browser": ("attributions.h5", "hits.bed.gz"),
    "find_motifs": ("attributions.h5",),
    "annotate_motifs": ("modisco.h5",),
    "combine_lexicon": ("modisco.h5",),
    "summarise_usage": ("lexicon.h5",),
    "call_hits": ("attributions.h5", "modisco.h5"),
    "analyse_syntax": ("attributions.h5", "modisco.h5", "hits.bed.gz"),
    "call_seqlets": ("attributions.h5",),
    "compare_with_truth": ("attributions.h5",),
    "inspect_model": ("weights.pt",),
    "score_variants": ("weights.pt",),
    "combine_variants": ("scores.h5",),
    "attribute_variants": ("weights.pt",),
    "prepare_insertions": ("sequences.h5",),
    "insert_chunk": ("plan.h5", "weights.pt"),
    "insert_motifs": ("plan.h5", "inserted.h5"),
    "measure_faithfulness": ("sequences.h5", "attributions.h5", "weights.pt"),
    "compare_methods": ("attributions.h5",),
    "contrast_hits": ("attributions.h5", "hits.bed.gz"),
    "evolve_sequences": ("weights.pt",),
}
SECTOR = 512


def damages(data: bytes, flips: int, generator: random.Random) -> Iterator[tuple[str, bytes]]:
    """A file cut at four places, with one bit flipped at random places, and with two sectors zeroed."""
    size = len(data)
    for cut in (0, size // 3, size - SECTOR, size - 1):
        yield f"cut at {cut}", data[: max(0, cut)]
    for _ in range(flips):
        place, bit = generator.randrange(size), generator.randrange(8)
        yield f"bit {bit} of {place}", data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
    for _ in range(2):
        place = generator.randrange(max(1, size // SECTOR)) * SECTOR
        zeroed = data[:place] + bytes(len(data[place : place + SECTOR])) + data[place + SECTOR :]
        if zeroed != data:
            yield f"sector at {place}", zeroed


def damaged(trials: Trials, name: str, flips: int, seed: int) -> dict[str, Any]:
    """The stage with one of its inputs damaged in many ways, one after the other."""
    path = trials.work / name
    data = path.read_bytes()
    return _with(trials, path, damages(data, flips, random.Random(seed)))


def swapped(trials: Trials, name: str, seed: int) -> dict[str, Any]:
    """The stage with one of its inputs from a run with other DNA, peaks and weights."""
    from stages import make_inputs

    other = trials.work / f"run-{seed}"
    other.mkdir(exist_ok=True)
    make_inputs(other, trials.stage, seed)
    return _with(trials, trials.work / name, [(f"of run {seed}", (other / name).read_bytes())])


def _with(trials: Trials, path: Path, contents_of: Any) -> dict[str, Any]:
    trials.digests = path.suffix != ".pt"  # bytes between the members of an archive of weights may differ
    trials.warm()
    data = path.read_bytes()
    trials.clear()
    whole = trials.trial()
    found = []
    try:
        for what, changed in contents_of:
            path.write_bytes(changed)
            trials.clear()
            found.append({"damage": what, **trials.trial()})
    finally:
        path.write_bytes(data)
        trials.digests = True
    return {"whole": whole, "trials": found}
