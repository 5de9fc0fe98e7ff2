"""Do scores of variants tell bases of known motifs from others? Simulated variants of the six yeast factors.

    snakemake --configfile config/yeast.yaml config/yeast-factors.yaml --cores 2
    python benchmarks/yeast_variants.py [--results results/yeast-factors] [--out FILE]

In each factor's regions on the chromosomes that the model was tested on, the best site of its JASPAR
matrix on either strand is taken where it reaches 70 % of the matrix's highest score. Inside: at every
column of at least 1 bit, the base becomes the one that the matrix has least of. Outside: as many
substitutions in the same regions, at least 20 bp from every site that reaches half of that score. Told
is the AUROC of |effect| on the factor's own target, and of the largest effect on the other targets,
which should tell less.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

TEST, GAP, STRONG, WEAK = ("chrIV", "chrXI"), 20, 0.7, 0.5
FACTORS = ("reb1", "abf1", "rap1", "fkh1", "mcm1", "ume6")


def simulate(regions: pd.DataFrame, genome: Any, motif: Any, rng: np.random.Generator) -> pd.DataFrame:
    """Substitutions inside and outside the best sites: ``chrom, start, ref, alt, inside``."""
    from cislex.motifs.baseline import log_odds
    from cislex.motifs.files import information

    forward = log_odds(motif, np.full(4, 0.25)).astype(float)
    strands = [(forward, motif.ppm), (forward[::-1, ::-1], motif.ppm[::-1, ::-1])]
    best, width, rows = forward.max(axis=0).sum(), forward.shape[1], []
    for region in regions.itertuples():
        codes = genome.codes(region.chrom, region.start, region.end)
        if (codes > 3).any():
            continue
        places = np.arange(len(codes) - width + 1)
        windows = codes[places[:, None] + np.arange(width)]
        scores = np.stack([matrix[windows, np.arange(width)].sum(axis=1) for matrix, _ in strands])
        strand, at = np.unravel_index(scores.argmax(), scores.shape)
        if scores[strand, at] < STRONG * best:
            continue
        ppm = strands[strand][1]
        changed = [(at + k, int(ppm[:, k].argmin())) for k in np.flatnonzero(information(ppm) >= 1)]
        inside = [(place, alt) for place, alt in changed if alt != codes[place]]
        near = np.zeros(len(codes), dtype=bool)
        for place in np.flatnonzero((scores >= WEAK * best).any(axis=0)):
            near[max(0, place - GAP) : place + width + GAP] = True
        free = np.flatnonzero(~near)
        if len(free) < len(inside):
            continue
        chosen = rng.choice(free, len(inside), replace=False)
        outside = [(place, int((codes[place] + rng.integers(1, 4)) % 4)) for place in chosen]
        for is_inside, listed in ((1, inside), (0, outside)):
            for place, alt in listed:
                ref, letter = "ACGT"[codes[place]], "ACGT"[alt]
                rows.append((region.chrom, region.start + int(place), ref, letter, is_inside))
    table = pd.DataFrame(rows, columns=["chrom", "start", "ref", "alt", "inside"])
    return table.drop_duplicates(["chrom", "start", "ref", "alt"])


def main() -> None:
    """Simulate, score, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, default=Path("results/yeast-factors"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    from cislex.motifs.files import read_meme
    from cislex.regions.extraction import read_regions_bed
    from cislex.regions.genome import Genome
    from cislex.variants.chunk import NullOptions
    from cislex.variants.score import score_variants
    from cislex.variants.windows import WindowOptions
    from sklearn.metrics import roc_auc_score

    files = (options.results / "motif_databases").glob("*.meme")
    known = {motif.name.upper(): motif for path in files for motif in read_meme(path)}
    fasta = Path("resources/downloads/sacCer3.fa")
    wanted = {name: {"kind": "output", "index": number} for number, name in enumerate(FACTORS)}
    found, rng = [], np.random.default_rng(0)
    print("| factor | variants inside, outside | AUROC of \\|effect\\| | of the other targets |")
    print("|---|---|---|---|")
    with Genome(fasta) as genome, tempfile.TemporaryDirectory() as folder:
        for name in FACTORS:
            regions = read_regions_bed(options.results / "regions" / name / "regions.bed")
            regions = regions[regions["chrom"].isin(TEST)]
            table = simulate(regions, genome, known[name.upper()], rng)
            calls, out = Path(folder) / "calls.tsv", Path(folder) / "scores.tsv"
            table.to_csv(calls, sep="\t", index=False)
            score_variants(
                calls, fasta, {"fold_0": options.results / "models" / "yeast" / "fold_0.pt"}, out,
                Path(folder) / "dropped.tsv", wanted=wanted, loader="trained",
                windows=WindowOptions(length=200), null=NullOptions(size=0),
            )  # fmt: skip
            scores = pd.read_csv(out, sep="\t")
            effects = scores[[f"{target}.effect" for target in FACTORS]].abs()
            others = effects.drop(columns=f"{name}.effect").max(axis=1)
            own = float(roc_auc_score(scores["inside"], effects[f"{name}.effect"]))
            rest = float(roc_auc_score(scores["inside"], others))
            inside = int(scores["inside"].sum())
            found.append(
                {
                    "factor": name,
                    "inside": inside,
                    "outside": len(scores) - inside,
                    "auroc": own,
                    "others": rest,
                }
            )
            print(f"| {name} | {inside}, {len(scores) - inside} | {own:.3f} | {rest:.3f} |", flush=True)
    if options.out:
        options.out.write_text(
            json.dumps({"settings": {"strong": STRONG, "gap": GAP}, "factors": found}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
