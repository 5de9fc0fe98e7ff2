"""DeepLIFT/SHAP side by side: cislex, tangermeme (as shipped and at its best), plain forward + gradient.

    python benchmarks/attribution.py [--quick] [--threads N] [--device cuda] [--out results/attribution.json]

All contenders run in turns within one process on the same regions and references, so that ratios mean
something on a busy machine too; the table gives the median of several rounds and their spread.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from cislex.attribution import DeepLiftShap, DinucleotideShuffle, FixedReferences, attribute, make_references
from cislex.attribution.kernels import keep_freed_memory
from cislex.provenance import versions

REFERENCES = 20


class BPNet(nn.Module):
    """Log counts of BPNet: 64 filters, 8 dilated residual layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 64, 21, padding=10)
        self.layers = nn.ModuleList(nn.Conv1d(64, 64, 3, padding=2**i, dilation=2**i) for i in range(1, 9))
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(9))
        self.head = nn.Linear(64, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 1)."""
        h = self.relus[0](self.first(x))
        for layer, relu in zip(self.layers, self.relus[1:], strict=True):
            h = h + relu(layer(h))
        return self.head(h[:, :, 37:-37].mean(2))


def basset(length: int) -> nn.Module:
    """Three convolutions with batch norm and max-pooling, two dense layers."""
    layers: list[nn.Module] = []
    channels, size = 4, length
    for filters, kernel, pool in ((128, 19, 3), (96, 11, 4), (96, 7, 4)):
        layers += [nn.Conv1d(channels, filters, kernel, padding=kernel // 2), nn.BatchNorm1d(filters)]
        layers += [nn.ReLU(), nn.MaxPool1d(pool)]
        channels, size = filters, size // pool
    layers += [nn.Flatten(), nn.Linear(channels * size, 256), nn.ReLU(), nn.Linear(256, 1)]
    return nn.Sequential(*layers)


MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "BPNet 64x8, 2,114 bp": (BPNet, 2114),
    "Basset-like, 600 bp": (lambda: basset(600), 600),
}


def one_hot(n: int, length: int) -> Tensor:
    """Random sequences (n, 4, L) uint8."""
    index = torch.randint(0, 4, (n, 1, length), generator=torch.Generator().manual_seed(0))
    return torch.zeros(n, 4, length, dtype=torch.uint8).scatter_(1, index, 1)


def contenders(
    model: nn.Module, x: Tensor, refs: Tensor, device: str, sizes: list[int]
) -> dict[str, Callable[[], object]]:
    """What runs in turns, by name; each attributes all of ``x``."""
    fixed = FixedReferences(refs)
    rows = refs.flatten(0, 1)
    runs: dict[str, Callable[[], object]] = {
        "cislex rescale": lambda: attribute(model, x, DeepLiftShap(fixed), device=device),
        "cislex reveal_cancel": lambda: attribute(
            model, x, DeepLiftShap(fixed, rule="reveal_cancel"), device=device
        ),
        "cislex bfloat16": lambda: attribute(
            model, x, DeepLiftShap(fixed), device=device, precision="bfloat16"
        ),
    }
    for size in sizes:

        def plain(size: int = size) -> None:
            for start in range(0, len(rows), size):
                leaf = rows[start : start + size].to(device).float().requires_grad_()
                torch.autograd.grad(model(leaf).sum(), leaf)

        runs[f"forward + gradient, {size}"] = plain
    try:
        from tangermeme.deep_lift_shap import deep_lift_shap
    except ImportError:
        print("tangermeme is not installed: no peer")
        return runs
    floats = refs.float()
    for size in sorted({32, *sizes}):

        def peer(size: int = size) -> Tensor:
            return deep_lift_shap(
                model, x.float(), references=floats, device=device, batch_size=size, warning_threshold=1.0
            )

        runs[f"tangermeme, {size}" + (" (as shipped)" if size == 32 else "")] = peer
    return runs


def measure(
    runs: dict[str, Callable[[], object]], *, rounds: int, pairs: int, device: str
) -> dict[str, list[float]]:
    """Milliseconds per pair of each contender, in turns, after one warm-up each."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device != "cpu":
                torch.cuda.synchronize()
            if turn:
                found[name].append((time.perf_counter() - start) / pairs * 1e3)
    return found


def best(found: dict[str, list[float]], prefix: str) -> str | None:
    """Fastest contender whose name begins so."""
    names = [name for name in found if name.startswith(prefix)]
    return min(names, key=lambda name: statistics.median(found[name])) if names else None


def ratio(found: dict[str, list[float]], other: str | None, name: str) -> str:
    """Median of the turns' ratios and their range."""
    if other is None or other not in found:
        return "-"
    ratios = [a / b for a, b in zip(found[other], found[name], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def report(title: str, found: dict[str, list[float]]) -> dict[str, str]:
    """Print one model's table and return its ratios."""
    print(f"\n{title}: ms per example-reference pair, median (range)")
    for name, values in found.items():
        print(f"  {name:32s} {statistics.median(values):8.2f} ({min(values):.2f} to {max(values):.2f})")
    plain, ours = best(found, "forward"), "cislex rescale"
    shipped = next((name for name in found if "as shipped" in name), None)
    ratios = {
        "times faster than tangermeme as shipped": ratio(found, shipped, ours),
        "times faster than tangermeme at its best": ratio(found, best(found, "tangermeme"), ours),
        "times forward + gradient at its best": ratio(found, ours, plain) if plain else "-",
        "reveal_cancel, times rescale": ratio(found, "cislex reveal_cancel", ours),
    }
    for name, value in ratios.items():
        print(f"  -> {name}: {value}")
    return ratios


def accuracy(model: nn.Module, x: Tensor, refs: Tensor, device: str) -> dict[str, float]:
    """Largest error of hypothetical scores against float64, relative to the largest score."""
    method = DeepLiftShap(FixedReferences(refs[:1]))
    truth = attribute(model, x[:1], method, device=device, precision="float64").hypothetical
    errors = {}
    for precision in ("float32", "tf32", "bfloat16") if device != "cpu" else ("float32", "bfloat16"):
        found = attribute(model, x[:1], method, device=device, precision=precision).hypothetical
        errors[precision] = float((found - truth).abs().max() / truth.abs().max())
    print("  error against float64:", ", ".join(f"{name} {value:.1e}" for name, value in errors.items()))
    return errors


def main() -> None:
    """Measure, print, and write a record where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few regions and rounds: under five minutes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--regions", type=int, default=None)
    parser.add_argument("--default-malloc", action="store_true", help="leave glibc's thresholds as they are")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kept = False if options.default_malloc else keep_freed_memory()
    regions = options.regions or (2 if options.quick else 8)
    rounds = 2 if options.quick else 5
    sizes = ([4] if options.quick else [1, 2, 4, 8, 16]) if options.device == "cpu" else [64, 256, 1024]
    record: dict[str, object] = {
        "machine": platform.processor() or platform.machine(),
        "threads": options.threads,
        "device": options.device if options.device == "cpu" else torch.cuda.get_device_name(),
        "freed memory kept": kept,
        "regions": regions,
        "references": REFERENCES,
        "versions": versions(("torch", "numpy", "numba", "tangermeme")),
    }
    for title, (build, length) in MODELS.items():
        torch.manual_seed(0)
        model = build().eval().requires_grad_(False).to(options.device)
        x = one_hot(regions, length)
        refs = make_references(DinucleotideShuffle(n=REFERENCES), x)
        runs = contenders(model, x, refs, options.device, sizes)
        found = measure(runs, rounds=rounds, pairs=regions * REFERENCES, device=options.device)
        record[title] = {
            "ms_per_pair": found,
            "ratios": report(title, found),
            "errors": accuracy(model, x, refs, options.device),
        }
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
