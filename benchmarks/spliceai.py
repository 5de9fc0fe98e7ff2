"""Attributions of SpliceAI (Jaganathan et al. 2019) at splice sites of yeast, compared with mutagenesis.

    python benchmarks/spliceai.py --weights spliceai1.h5 --genome sacCer3.fa.gz [--flank 50] [--references 4]
        [--genes ACT1 RPL28] [--threads 1] [--out FILE]

`make published` puts the weights into resources/downloads. The sites are those of
resources/yeast_introns.*.bed. For each, DeepLIFT/SHAP and TISM of the logit at the site are compared with ISM
in the window of ± flank bp: Pearson correlation of hypothetical scores and of contributions, how many of the
intron's two first (GT) or last (AG) bases are among the four with the largest contributions, and how much
larger the mean contribution of pyrimidines is than that of purines in the 20 bp before the AG.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyfaidx import Fasta
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from cislex.attribution import ISM, TISM, Attribution, DeepLiftShap, DinucleotideShuffle, attribute
from cislex.models.loading import load_model
from cislex.provenance import digest_file, versions
from cislex.targets import Output, PreActivation

#: Bases on either side of the site that SpliceAI reads, and its column for each kind of site.
CONTEXT, COLUMNS = 5000, {"acceptors": 1, "donors": 2}
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def sites(genome: Path, genes: list[str] | None) -> Iterator[tuple[str, str, Tensor]]:
    """Kind, gene and one-hot window (1, 4, 10001) of each site, 5′ to 3′ on its strand."""
    with Fasta(str(genome)) as sequences:
        for kind in COLUMNS:
            for line in (ROOT / "resources" / f"yeast_introns.{kind}.bed").read_text().splitlines():
                chromosome, start, end, gene, _, strand = line.split("\t")
                if genes and gene not in genes:
                    continue
                window = str(sequences[chromosome][int(start) - CONTEXT : int(end) + CONTEXT]).upper()
                if strand == "-":
                    window = window[::-1].translate(COMPLEMENT)
                codes = torch.tensor(["ACGT".index(base) for base in window])
                yield kind, gene, torch.nn.functional.one_hot(codes, 4).T[None].to(torch.uint8)


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson correlation of all entries."""
    return float(np.corrcoef(a.flatten().numpy(), b.flatten().numpy())[0, 1])


def compare(kind: str, model: torch.nn.Module, x: Tensor, flank: int, references: int) -> dict[str, Any]:
    """Measures of one site."""
    target = PreActivation(Output((0, COLUMNS[kind])))
    window = slice(CONTEXT - flank, CONTEXT + flank + 1)
    seconds = {}

    def timed(name: str, method: Any) -> Attribution:
        began = time.perf_counter()
        found = attribute(model, x, method, target=target)
        seconds[name] = round(time.perf_counter() - began, 1)
        return found

    shap = timed("shap", DeepLiftShap(references=DinucleotideShuffle(n=references)))
    tism = timed("tism", TISM())
    ism = timed("ism", ISM(start=window.start, end=window.stop))
    assert shap.max_relative_delta is not None
    found: dict[str, Any] = {"logit": float(shap.prediction), "delta": float(shap.max_relative_delta)}
    for name, result in (("shap", shap), ("tism", tism)):
        found[f"{name}_hypothetical_r"] = correlation(
            result.hypothetical[..., window], ism.hypothetical[..., window]
        )
        found[f"{name}_r"] = correlation(
            result.contributions.sum(1)[..., window], ism.contributions.sum(1)[..., window]
        )
    dinucleotide = {CONTEXT + 1, CONTEXT + 2} if kind == "donors" else {CONTEXT - 2, CONTEXT - 1}
    for name, result in (("shap", shap), ("ism", ism)):
        scores = result.contributions.sum((0, 1))
        top = torch.topk(scores, 4).indices.tolist()
        found[f"{name}_dinucleotide_in_top_4"] = len(dinucleotide & set(top))
        if kind == "acceptors":  # pyrimidines of the 20 bp before the AG, against the purines there
            part = slice(CONTEXT - 22, CONTEXT - 2)
            pyrimidines = x[0, [1, 3], part].sum(0).bool()
            found[f"{name}_pyrimidine_tract"] = float(
                scores[part][pyrimidines].mean() - scores[part][~pyrimidines].mean()
            )
    return {**found, "seconds": seconds}


def main() -> None:
    """Compare at every site and write or print the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--genome", type=Path, required=True)
    parser.add_argument("--genes", nargs="*")
    parser.add_argument("--flank", type=int, default=50)
    parser.add_argument("--references", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_model("keras", weights=args.weights).model
    rows = []
    for kind, gene, x in sites(args.genome, args.genes):
        rows.append({"kind": kind, "gene": gene, **compare(kind, model, x, args.flank, args.references)})
        print(json.dumps(rows[-1]), flush=True)
    record = {
        "flank": args.flank,
        "references": args.references,
        "weights": digest_file(args.weights),
        "versions": {**versions(), **versions(["keras"])},
        "sites": rows,
    }
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
