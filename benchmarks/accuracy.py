"""How exact attributions are: each precision against float64, and peers against the definition.

    python benchmarks/accuracy.py [--device cuda] [--out benchmarks/results/accuracy.json]

The first table compares the hypothetical scores of DeepLIFT/SHAP in each precision with those in float64. The
second sends the models of the trap table (tests/attribution_models.py), each of which has one operation that
hooks on modules miss, through cislex, tangermeme and captum, all in float64 so that rounding plays no part,
and compares what the attributions sum to with f(x) − f(r) of the plain model. Weights are random, from fixed
seeds; nothing is timed, so the numbers are the same in every run on one machine.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

import attribution_models as traps
from attribution import BPNet, basset
from cislex.attribution import (
    Attribution,
    DeepLiftShap,
    DinucleotideShuffle,
    FixedReferences,
    attribute,
    make_references,
)
from cislex.provenance import versions


class Transformer(nn.Module):
    """Convolution stem, two pre-norm transformer layers with GELU, mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(4, 64, 15, padding=7), nn.GELU(), nn.MaxPool1d(8))
        layers = (
            nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, norm_first=True, activation="gelu")
            for _ in range(2)
        )
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(64, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 1)."""
        h = self.stem(x).transpose(1, 2)
        for layer in self.layers:
            h = layer(h)
        return self.head(h.mean(1))


def smooth() -> nn.Module:
    """Convolutions with ELU and sigmoid: curved everywhere, and nearly linear for small differences."""
    return nn.Sequential(
        nn.Conv1d(4, 64, 15, padding=7),
        nn.ELU(),
        nn.Conv1d(64, 64, 9, padding=4),
        nn.Sigmoid(),
        nn.AvgPool1d(4),
        nn.Conv1d(64, 32, 5),
        nn.ELU(),
        nn.Flatten(),
        nn.Linear(32 * 146, 1),
        nn.Sigmoid(),
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "BPNet 64x8, 2,114 bp": (BPNet, 2114),
    "CNN with max-pooling, 600 bp": (lambda: basset(600), 600),
    "CNN with ELU and sigmoid, 600 bp": (smooth, 600),
    "transformer (LayerNorm, GELU), 600 bp": (Transformer, 600),
}


def relative(found: Tensor, wanted: Tensor) -> float:
    """Largest difference of a region's scores relative to its largest score, over the regions."""
    scale = wanted.abs().amax((1, 2))
    return float(((found.double() - wanted).abs().amax((1, 2)) / scale).max())


def correlation(found: Attribution, wanted: Attribution) -> float:
    """Smallest Pearson correlation of a region's contributions."""
    pairs = zip(found.contributions.sum(1).double(), wanted.contributions.sum(1), strict=True)
    return min(float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in pairs)


def peer_scores(model: nn.Module, x: Tensor, refs: Tensor, device: str) -> Tensor:
    """Hypothetical scores of tangermeme in float32."""
    from tangermeme.deep_lift_shap import deep_lift_shap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return deep_lift_shap(
            model, x.float(), references=refs.float(), hypothetical=True, device=device, batch_size=8
        )


def precision_table(device: str, *, regions: int, references: int) -> dict[str, Any]:
    """Error, correlation and delta of each precision, by model."""
    precisions = ["float32", "tf32", "bfloat16"] if device != "cpu" else ["float32", "bfloat16"]
    table: dict[str, Any] = {}
    print("hypothetical scores against float64: error relative to the largest score, largest relative delta,")
    print("smallest correlation of contributions")
    for title, (build, length) in MODELS.items():
        torch.manual_seed(0)
        model = build().eval().requires_grad_(False).to(device)
        x = traps.one_hot(regions, length)
        refs = make_references(DinucleotideShuffle(n=references), x)
        method = DeepLiftShap(FixedReferences(refs))
        truth = attribute(model, x, method, precision="float64")
        rows: dict[str, Any] = {}
        for precision in precisions:
            found = attribute(model, x, method, precision=precision)
            assert found.max_relative_delta is not None
            rows[precision] = {
                "error": relative(found.hypothetical, truth.hypothetical),
                "max_relative_delta": float(found.max_relative_delta.max()),
                "correlation": correlation(found, truth),
            }
        try:
            theirs = peer_scores(model, x, refs, device)
            rows["tangermeme float32"] = {"error": relative(theirs, truth.hypothetical)}
        except Exception as error:  # a peer that cannot take the model is a result
            rows["tangermeme float32"] = {"exception": first_line(error)}
        table[title] = rows
        print(f"\n{title}")
        for name, row in rows.items():
            print(f"  {name:20s}", "  ".join(f"{key} {text(value)}" for key, value in row.items()))
    return table


def text(value: Any) -> str:
    """A number short enough for a table."""
    return f"{value:.5g}" if isinstance(value, float) and value > 0.1 else _short(value)


def _short(value: Any) -> str:
    return f"{value:.1e}" if isinstance(value, float) else str(value)


def first_line(error: BaseException) -> str:
    """Class and first line of an exception."""
    message = str(error).strip().splitlines()
    return f"{type(error).__name__}: {message[0][:100] if message else ''}"


#: Contributions Σ (x − r)·m of every pair, (n·R,), from model, x (n, 4, L) and references (n, R, 4, L).
Contender = Callable[[nn.Module, Tensor, Tensor], Tensor]


def ours(model: nn.Module, x: Tensor, refs: Tensor) -> Tensor:
    """Sums of cislex, one reference per example, from the contributions themselves."""
    rows = x.repeat_interleave(refs.shape[1], 0)
    method = DeepLiftShap(FixedReferences(refs.flatten(0, 1).unsqueeze(1)))
    return attribute(model, rows, method, precision="float64").contributions.sum((1, 2))


def tangermeme(model: nn.Module, x: Tensor, refs: Tensor) -> Tensor:
    """Sums of tangermeme's multipliers."""
    from tangermeme.deep_lift_shap import deep_lift_shap

    m = deep_lift_shap(model, x, references=refs, raw_outputs=True, device="cpu")
    return ((x.unsqueeze(1) - refs) * m).sum((2, 3)).flatten()


def captum(model: nn.Module, x: Tensor, refs: Tensor) -> Tensor:
    """Sums of captum's attributions."""
    from captum.attr import DeepLift

    rows = x.repeat_interleave(refs.shape[1], 0).requires_grad_()
    return DeepLift(model).attribute(rows, refs.flatten(0, 1), target=0).detach().sum((1, 2))


CONTENDERS: dict[str, Contender] = {"cislex": ours, "tangermeme": tangermeme, "captum": captum}


def deviation(sums: Tensor, fx: Tensor, fr: Tensor) -> dict[str, float]:
    """Median and largest relative delta of the pairs."""
    scale = torch.maximum((fx - fr).abs(), 1e-2 * torch.maximum(fx.abs(), fr.abs()))
    errors = ((sums - (fx - fr)).abs() / scale).tolist()
    return {"median": statistics.median(errors), "largest": max(errors)}


def try_out(name: str, run: Contender, x: Tensor, refs: Tensor) -> dict[str, Any]:
    """What one contender says of one trap: its relative delta or its exception, and whether it warned."""
    model = traps.trap(name).double()
    plain = traps.trap(name).double()
    with torch.no_grad():
        fx = plain(x.clone())[:, 0].repeat_interleave(refs.shape[1])
        fr = plain(refs.flatten(0, 1).clone())[:, 0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found: dict[str, Any] = dict(deviation(run(model, x, refs), fx, fr))
        except Exception as error:  # a contender that refuses a model is a result
            return {"exception": first_line(error)}
    usual = ("Setting forward, backward hooks", "Input Tensor")  # captum says these about every model
    told = [str(item.message) for item in caught if not str(item.message).startswith(usual)]
    return {**found, "warned": bool(told)}


def trap_table() -> dict[str, Any]:
    """Every trap through every contender."""
    x = traps.one_hot(3, 60).double()
    refs = make_references(DinucleotideShuffle(n=5), x).double()
    table: dict[str, Any] = {}
    print("\ntrap table, float64: median relative delta of 15 pairs (largest), ! where a warning was given")
    print(f"{'':38s}", *(f"{name:26s}" for name in CONTENDERS))
    for name in traps.TRAPS:
        table[name] = {who: try_out(name, run, x, refs) for who, run in CONTENDERS.items()}
        print(f"{name:38s}", *(f"{cell(found):26s}" for found in table[name].values()))
    return table


def cell(found: dict[str, Any]) -> str:
    """One entry of the printed table."""
    if "exception" in found:
        return found["exception"][:25]
    return f"{found['median']:.1e} ({found['largest']:.1e}){' !' if found['warned'] else ''}"


#: Below this a contender counts as right (a peer with a constant in float32 is at 3e-8).
RIGHT = 1e-6


def summary(table: dict[str, Any]) -> dict[str, dict[str, int]]:
    """How many traps each contender gets right, wrong with and without a warning, or refuses."""
    counts: dict[str, dict[str, int]] = {}
    for who in CONTENDERS:
        kinds = [verdict(row[who]) for row in table.values()]
        counts[who] = {kind: kinds.count(kind) for kind in ("right", "wrong, warned", "wrong", "refused")}
        print(f"{who:12s}", ", ".join(f"{kind} {n}" for kind, n in counts[who].items()))
    return counts


def verdict(found: dict[str, Any]) -> str:
    """Right, wrong or refused."""
    if "exception" in found:
        return "refused"
    if math.isfinite(found["largest"]) and found["largest"] <= RIGHT:
        return "right"
    return "wrong, warned" if found["warned"] else "wrong"


def main() -> None:
    """Measure, print, and write a record where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--device", default="cpu", help="for the first table; tf32 needs cuda")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--regions", type=int, default=4)
    parser.add_argument("--references", type=int, default=10)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    precision = precision_table(options.device, regions=options.regions, references=options.references)
    table = trap_table()
    print()
    record = {
        "machine": platform.processor() or platform.machine(),
        "device": options.device if options.device == "cpu" else torch.cuda.get_device_name(),
        "regions": options.regions,
        "references": options.references,
        "versions": versions(("torch", "numpy", "tangermeme", "captum")),
        "precision": precision,
        "traps": table,
        "summary": summary(table),
    }
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
