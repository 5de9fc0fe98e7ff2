"""How combining a lexicon grows with the patterns: planted words, noisy, shifted and turned at random.

    python benchmarks/lexicon.py [--patterns 250,500,1000,2000] [--words 100] [--seqlets 200] [--out FILE]

Forty patterns a target, against JASPAR's vertebrates. Each size runs in a process of its own, so that its
peak memory is its own; kernels are compiled before. Also told: words found, and the adjusted Rand index of
the patterns' words against those planted. Seconds of the processor say more than those of the clock on a busy
machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from workers import each_size

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

WIDTH, PER_TARGET, NOISE = 50, 40, 0.15


def draw_words(number: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Base frequencies (4, w) of words of 8 to 15 bp."""
    codes = [rng.integers(0, 4, int(rng.integers(8, 16))) for _ in range(number)]
    return [np.where(np.arange(4)[:, None] == code, 0.91, 0.03) for code in codes]


def write_target(path: Path, words: list[np.ndarray], seqlets: int, rng: np.random.Generator) -> None:
    """One ``modisco.h5`` with a noisy pattern for each word, best supported first."""
    import h5py

    with h5py.File(path, "w") as handle:
        handle.attrs["window_size"] = 2114
        for number, word in enumerate(words):
            ppm = np.full((4, WIDTH), 0.25)
            start = (WIDTH - word.shape[1]) // 2 + int(rng.integers(-8, 9))
            ppm[:, start : start + word.shape[1]] = word
            score = ppm - 0.25
            ppm = (1 - NOISE) * ppm + NOISE * rng.dirichlet(np.ones(4), WIDTH).T
            hypothetical = score + NOISE * rng.normal(0, 0.25, ppm.shape)
            turn = (slice(None, None, -1),) * 2 if rng.integers(2) else (slice(None),) * 2
            ppm, hypothetical = ppm[turn], hypothetical[turn]
            group = handle.create_group(f"pos_patterns/pattern_{number}")
            group["sequence"], group["hypothetical_contribs"] = ppm.T, hypothetical.T
            group["contrib_scores"] = (ppm * hypothetical).T
            picked = (rng.random((seqlets, WIDTH, 1)) > ppm.T.cumsum(axis=1)[None]).sum(axis=2).clip(0, 3)
            place, rows = group.create_group("seqlets"), np.arange(seqlets)
            place["n_seqlets"], place["example_idx"] = np.array([seqlets]), rows
            place["start"], place["end"] = rows + 100, rows + 100 + WIDTH
            place["is_revcomp"] = rows % 2 == 0
            place.create_dataset(
                "sequence", data=np.eye(4, dtype=np.float32)[picked], compression="gzip", shuffle=True
            )


def measure(patterns: int, words: int, seqlets: int) -> dict[str, float]:
    """Combine so many patterns; called in a process of its own."""
    from cislex.lexicon.combine import combine_lexicon
    from cislex.lexicon.files import LexiconFiles
    from cislex.lexicon.patterns import PatternSource
    from cislex.motifs.databases import fetch_motif_database
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng(0)
    planted = draw_words(words, rng)
    with tempfile.TemporaryDirectory() as name:
        folder, truth, sources = Path(name), {}, []
        for target in range(patterns // PER_TARGET):
            chosen = rng.choice(words, PER_TARGET, replace=False)
            write_target(folder / f"{target}.h5", [planted[k] for k in chosen], seqlets, rng)
            sources.append(PatternSource("a", str(target), folder / f"{target}.h5"))
            truth |= {(str(target), f"pos_{number}"): int(k) for number, k in enumerate(chosen)}
        fetch_motif_database("jaspar-vertebrates", folder / "known.meme")
        names = ("lexicon.tsv", "lexicon_members.tsv", "lexicon.meme", "lexicon.h5")
        files = LexiconFiles(*(folder / name for name in names))
        known = {"jaspar": folder / "known.meme"}
        combine_lexicon(sources[:1], LexiconFiles(*(folder / f"warm.{n}" for n in names)), databases=known)
        start, used = time.monotonic(), time.process_time()
        table = combine_lexicon(sources, files, databases=known)
        spent = time.monotonic() - start, time.process_time() - used
        import pandas as pd

        members = pd.read_csv(files.members, sep="\t", dtype=str)
        given = [truth[key] for key in zip(members["target"], members["motif"], strict=True)]
        return {
            "patterns": len(given),
            "words": len(table),
            "rand_index": round(adjusted_rand_score(given, members["word"].fillna("")), 4),
            "seconds": round(spent[0], 1),
            "cpu_seconds": round(spent[1], 1),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        }


def main() -> None:
    """Measure each size and print, or write, the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--patterns", default="250,500,1000,2000")
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--seqlets", type=int, default=200)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked.words, asked.seqlets)))
        return
    each_size(
        __file__,
        asked.patterns.split(","),
        ["--words", str(asked.words), "--seqlets", str(asked.seqlets)],
        asked.out,
    )


if __name__ == "__main__":
    main()
