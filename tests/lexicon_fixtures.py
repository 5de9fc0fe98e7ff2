"""Files of patterns made of known words: noisy, shifted, and turned at random."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from cislex.lexicon.combine import combine_lexicon
from cislex.lexicon.files import LexiconFiles
from cislex.lexicon.patterns import PatternSource
from cislex.lexicon.usage import LexiconInputs, UsageSource, summarise_usage
from cislex.motifs.files import MemeMotif, write_meme

WIDTH = 50
WORDS = ("GTTACCCGGAA", "TGACTCATG", "CACGTGAC", "GGAAGTGAAA", "TATCACGATTGACG", "AGATAAGCA")
FILES = ("lexicon.tsv", "lexicon_members.tsv", "lexicon.meme", "lexicon.h5")


def ppm_of(text: str, *, sure: float = 0.91) -> np.ndarray:
    """Base frequencies (4, w) of a word; a dot is any base."""
    rest = (1 - sure) / 3
    columns = [[0.25] * 4 if b == "." else [sure if b == letter else rest for letter in "ACGT"] for b in text]
    return np.array(columns).T


def pattern(
    text: str,
    rng: np.random.Generator | None = None,
    *,
    sign: int = 1,
    n: int = 100,
    shift: int = 0,
    turned: bool = False,
    noise: float = 0.0,
    weights: Sequence[float] | None = None,
) -> dict[str, Any]:
    """A pattern that holds a word near its middle; contributions as strong as ``weights`` in each column."""
    core = ppm_of(text)
    ppm, cwm, hypothetical = np.full((4, WIDTH), 0.25), np.zeros((4, WIDTH)), np.zeros((4, WIDTH))
    start = (WIDTH - len(text)) // 2 + shift
    inside = slice(start, start + len(text))
    score = (core - 0.25) * np.asarray(1.0 if weights is None else weights)
    ppm[:, inside], cwm[:, inside], hypothetical[:, inside] = core, core * np.abs(score), score
    if rng is not None and noise:
        ppm = rng.dirichlet(np.ones(4), WIDTH).T * noise + ppm * (1 - noise)
        cwm = cwm + noise * rng.normal(0, 0.25, cwm.shape) * ppm
        hypothetical = hypothetical + noise * rng.normal(0, 0.25, cwm.shape)
    matrices = [ppm, sign * cwm, sign * hypothetical]
    if turned:
        matrices = [matrix[::-1, ::-1] for matrix in matrices]
    return {"matrices": matrices, "n": n, "sign": sign}


def write_modisco(path: Path, patterns: Sequence[dict[str, Any]]) -> Path:
    """Write patterns in modisco-lite's layout, each sign by support, with seqlets in made-up regions."""
    with h5py.File(path, "w") as handle:
        handle.attrs["window_size"] = 200
        for sign, group in ((1, "pos_patterns"), (-1, "neg_patterns")):
            chosen = sorted((p for p in patterns if p["sign"] == sign), key=lambda p: -p["n"])
            for number, given in enumerate(chosen):
                place = handle.create_group(f"{group}/pattern_{number}")
                ppm, cwm, hypothetical = (np.ascontiguousarray(matrix.T) for matrix in given["matrices"])
                place["sequence"], place["contrib_scores"] = ppm, cwm
                place["hypothetical_contribs"] = hypothetical
                seqlets, rows = place.create_group("seqlets"), np.arange(given["n"])
                seqlets["n_seqlets"], seqlets["sequence"] = np.array([given["n"]]), ppm[None]
                seqlets["example_idx"], seqlets["start"] = rows // 2, 20 + rows % 100
                seqlets["end"], seqlets["is_revcomp"] = 20 + rows % 100 + WIDTH, rows % 3 == 0
    return path


def write_database(path: Path, texts: Sequence[str] = WORDS, *, others: int = 40, seed: int = 5) -> Path:
    """Known motifs: the words, called FACTOR0 …, and others that resemble none."""
    rng = np.random.default_rng(seed)
    drawn = ["".join(rng.choice(list("ACGT"), 12)) for _ in range(others)]
    known = [MemeMotif(f"MA{i:04d}", f"FACTOR{i}", ppm_of(text), 20) for i, text in enumerate(texts)]
    for i, text in enumerate(drawn):
        ppm = (
            ppm_of(text) + 0.2 * rng.dirichlet([0.5] * 4, len(text)).T
        )  # as many different columns as real ones
        known.append(MemeMotif(f"MX{i:04d}", f"OTHER{i}", ppm / ppm.sum(axis=0), 20))
    write_meme(known, path)
    return path


def files_in(folder: Path) -> LexiconFiles:
    folder.mkdir(parents=True, exist_ok=True)
    return LexiconFiles(*(folder / name for name in FILES))


def combine(folder: Path, targets: dict[str, Sequence[dict[str, Any]]], **options: Any) -> LexiconFiles:
    """Write each target's patterns and combine them into ``folder/out``."""
    sources = [
        PatternSource("analysis", target, write_modisco(folder / f"{target}.h5", patterns))
        for target, patterns in targets.items()
    ]
    files = files_in(folder / "out")
    combine_lexicon(sources, files, **options)
    return files


def summarise(files: LexiconFiles, sources: Sequence[UsageSource]) -> Path:
    """Write ``usage.tsv`` and ``usage.h5ad`` beside the lexicon; return the first."""
    table = Path(files.table).with_name("usage.tsv")
    inputs = LexiconInputs(files.table, files.members, files.modisco)
    summarise_usage(inputs, sources, table, table.with_suffix(".h5ad"))
    return table
