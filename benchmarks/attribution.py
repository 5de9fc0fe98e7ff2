"""Speed and memory of attribution: cislex and its peers side by side.

    python benchmarks/attribution.py [--quick] [--only bpnet,ism] [--threads 2] [--device cuda] [--out FILE]

Contenders do the same task in turns, so that ratios mean something on a busy machine too; tables give the
median of the rounds and their range, ratios are taken round by round. Batch sizes of peers are the best of
several, tried before; "as shipped" is a peer's own default under the allocator's defaults, everything else
runs with freed memory kept, as in the workflow. Sections:

- bpnet, basset, beluga: DeepLIFT/SHAP, 20 shuffles, against tangermeme, captum, and plain forward + gradient;
- limit: those, an LSTM and a transformer against plain forward + gradient alone: a call with so many regions,
  and what further regions cost, once a call has tried the model with the first;
- blocks: a stack like Cherimoya's against the same; and Cherimoya itself against its own engine where
  ``--cherimoya-python`` or ``CISLEX_CHERIMOYA_PYTHON`` names an interpreter that has it (not ours: it brings
  the package ``modisco``, which would overwrite ``modisco-lite``) and can import torch, tangermeme, numba;
- ism: substitutions of a window; tism: one gradient, and how much it saves;
- shuffles: their part of a run; memory: growth per pair; precision: error against float64.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "benchmarks")]

from architectures import MODELS, BPNet, basset
from cislex.provenance import versions
from contenders import Task
from workers import Worker

__all__ = ["BPNet", "basset"]

SHIPPED = "tangermeme:32"
Rounds = dict[str, list[float]]


@dataclass
class Bench:
    """Workers and settings of one run of this program, and what it found."""

    threads: int
    device: str
    quick: bool
    regions: int
    rounds: int
    cherimoya: str | None
    clock: str = "wall"
    record: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kept, self.default = self.worker(True), self.worker(False)

    def worker(self, keep: bool, python: str = sys.executable) -> Worker:
        """A new process."""
        return Worker(self.threads, keep, python, self.clock)

    @property
    def sizes(self) -> list[int]:
        """Batch sizes that are tried."""
        if self.device != "cpu":
            return [64, 256, 1024]
        return [1, 2, 4, 8, 16, 32]

    def best(self, kind: str, task: Task) -> str:
        """The fastest batch size of a contender, on one region; a usual one when there is no time."""
        if self.quick and self.device == "cpu":
            return f"{kind}:4"
        small = replace(task, regions=1)
        names = [f"{kind}:{size}" for size in self.sizes]
        for name in names:
            self.kept.ask(name, small)
        times = {name: min(self.kept.ask(name, small) for _ in range(2)) for name in names}
        return min(times, key=lambda name: times[name])

    def turns(self, task: Task, runs: dict[str, tuple[Worker, str]], warm: int = 1) -> Rounds:
        """Seconds of each contender, in turns, after a warm-up with so many regions."""
        few = replace(task, regions=warm, references=4 if self.quick else task.references, window=10)
        for worker, name in runs.values():
            worker.ask(name, few)
        found: Rounds = {title: [] for title in runs}
        for _ in range(self.rounds):
            for title, (worker, name) in runs.items():
                found[title].append(worker.ask(name, task))
        return found

    def close(self) -> None:
        """End the processes."""
        self.kept.close()
        self.default.close()


def ratios(found: Rounds, slow: str, fast: str) -> list[float]:
    """Seconds of one contender over those of another, round by round."""
    return [a / b for a, b in zip(found[slow], found[fast], strict=True)]


def report(
    bench: Bench, section: str, found: Rounds, per: tuple[int, str], pairs: list[tuple[str, str, str]]
) -> None:
    """Print a section's table and its ratios, (text, numerator, denominator), and record both."""
    number, unit = per
    print(f"  ms per {unit}: median (range)")
    for name, values in found.items():
        ms = [value / number * 1e3 for value in values]
        print(f"    {name:44s} {statistics.median(ms):9.3f} ({min(ms):.3f} to {max(ms):.3f})")
    ratio = {text: ratios(found, a, b) for text, a, b in pairs if a in found and b in found}
    for text, values in ratio.items():
        print(f"  -> {text}: {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
    sys.stdout.flush()
    bench.record[section] = {"seconds": found, "unit": f"{number} {unit}s", "ratios": ratio}


def deeplift(bench: Bench, model: str) -> None:
    """One model's DeepLIFT/SHAP against every peer."""
    heavy = model in ("beluga", "blocks")
    regions = max(1, bench.regions // 4) if heavy else bench.regions
    task = Task(model, regions, references=8 if heavy and bench.quick else 20, device=bench.device)
    kept, default = bench.kept, bench.default
    runs = {
        "cislex": (kept, "cislex"),
        "cislex, default malloc": (default, "cislex"),
        "forward + gradient": (kept, bench.best("plain", task)),
        "tangermeme at its best": (kept, bench.best("tangermeme", task)),
        "tangermeme as shipped": (default, SHIPPED),
        "captum": (kept, "captum"),
    }
    if model == "blocks":  # no peer of ours knows the normalisation of (L, C) as this engine does
        del runs["captum"]
    if model in ("bpnet", "basset"):
        runs["cislex, RevealCancel"] = (kept, "cislex:reveal_cancel")
        runs["cislex, bfloat16"] = (kept, "cislex:bfloat16")
    print(f"  batch sizes: {', '.join(name for _, name in runs.values() if ':' in name)}")
    found = bench.turns(task, runs)
    pairs = [
        ("times faster than tangermeme as shipped", "tangermeme as shipped", "cislex"),
        ("the same, both under default malloc", "tangermeme as shipped", "cislex, default malloc"),
        ("times faster than tangermeme at its best", "tangermeme at its best", "cislex"),
        ("times faster than captum", "captum", "cislex"),
        ("cost over plain forward + gradient", "cislex", "forward + gradient"),
        ("RevealCancel over Rescale", "cislex, RevealCancel", "cislex"),
        ("bfloat16 over float32", "cislex, bfloat16", "cislex"),
    ]
    report(bench, model, found, (task.regions * task.references, "example-reference pair"), pairs)
    if bench.device != "cpu":
        rate = task.regions / statistics.median(found["cislex"])
        print(f"  -> {rate:.0f} regions per second at {task.references} shuffles")


def limit(bench: Bench) -> None:
    """Every family against the forward and input gradient of the same rows, each at its own best batch."""
    for model in ("bpnet", "basset", "beluga", "recurrent", "transformer"):
        print(f"  {MODELS[model][2]}")
        regions = max(2, bench.regions // 4) if model == "beluga" else bench.regions
        task = Task(model, regions, device=bench.device)
        runs = {
            "cislex": (bench.kept, "cislex"),
            "cislex, further regions": (bench.kept, "further"),
            "forward + gradient": (bench.kept, bench.best("plain", task)),
        }
        found = bench.turns(task, runs, warm=regions)
        pairs = [
            ("cost over plain forward + gradient", "cislex", "forward + gradient"),
            ("the same of further regions", "cislex, further regions", "forward + gradient"),
        ]
        report(bench, f"limit, {model}", found, (regions * task.references, "example-reference pair"), pairs)


def blocks(bench: Bench) -> None:
    """A general engine on a block stack, and Cherimoya's own engine where there is one."""
    deeplift(bench, "blocks")
    if bench.cherimoya is None:
        print("  Cherimoya's own engine is not measured: give --cherimoya-python")
        return
    print(MODELS["cherimoya"][2])
    task = Task("cherimoya", bench.regions, device=bench.device)
    worker = bench.worker(True, bench.cherimoya)
    steps = {size: f"cherimoya:{size}" for size in (1, 2, 8)}
    small = replace(task, regions=min(2, task.regions))
    times = {name: min(worker.ask(name, small) for _ in range(2)) for name in steps.values()}
    own = min(times, key=lambda name: times[name])
    runs = {"cislex": (worker, "cislex"), f"Cherimoya's engine ({own})": (worker, own)}
    found = bench.turns(task, runs)
    pairs = [("cost over Cherimoya's engine", "cislex", f"Cherimoya's engine ({own})")]
    report(bench, "cherimoya", found, (task.regions * task.references, "example-reference pair"), pairs)
    worker.close()


def ism(bench: Bench) -> None:
    """Substitutions of a window in the middle."""
    task = Task("bpnet", 1, window=40 if bench.quick else 200, device=bench.device)
    few = replace(task, window=20)
    best = "naive:4"
    if not bench.quick:
        times = {size: min(bench.kept.ask(f"naive:{size}", few) for _ in range(2)) for size in bench.sizes}
        best = f"naive:{min(times, key=lambda size: times[size])}"
    runs = {
        "cislex": (bench.kept, "ism"),
        "naive loop, batches of 50": (bench.kept, "naive:50"),
        "naive loop, batches of 50, default malloc": (bench.default, "naive:50"),
        f"naive loop at its best ({best})": (bench.kept, best),
        "tangermeme fast": (bench.kept, "tangermeme_ism:fast-32"),
        "tangermeme fast, without export and check": (bench.kept, "tangermeme_ism:rest-32"),
        "tangermeme, not fast": (bench.kept, "tangermeme_ism:slow-32"),
    }
    found = bench.turns(task, runs)
    pairs = [(f"times faster than {name}", name, "cislex") for name in runs if name != "cislex"]
    report(bench, "ism", found, (3 * task.window, "mutant"), pairs)


def tism(bench: Bench) -> None:
    """TISM against one forward and backward, and against the mutagenesis that it approximates."""
    task = Task("bpnet", 64 if bench.quick else 256, device=bench.device)
    size = 8 if bench.device == "cpu" else 64
    runs = {"TISM": (bench.kept, f"tism:{size}"), "forward + backward": (bench.kept, f"gradient:{size}")}
    found = bench.turns(task, runs)
    pairs = [("cost over one forward + backward", "TISM", "forward + backward")]
    report(bench, "tism", found, (task.regions, "region"), pairs)
    few = replace(task, regions=1, window=20)
    mutants = 3 * task.x.shape[2]
    loops = [bench.kept.ask("naive:4", few) / (3 * few.window) * mutants for _ in range(bench.rounds)]
    saved = [loop / (one / task.regions) for loop, one in zip(loops, found["TISM"], strict=True)]
    print(
        f"  -> times faster than naive ISM of the whole region: {statistics.median(saved):.0f} "
        f"({min(saved):.0f} to {max(saved):.0f}); 3 L = {mutants} forward passes in place of a forward and "
        "a backward"
    )
    bench.record["tism over naive ism"] = {"ratios": saved, "3 L": mutants}


def shuffles(bench: Bench) -> None:
    """What part of a run the references take, if nothing else went on meanwhile."""
    task = Task("bpnet", bench.regions, device=bench.device)
    found = bench.turns(task, {"run": (bench.kept, "whole"), "shuffles": (bench.kept, "shuffles")})
    pairs = [("part of a run", "shuffles", "run")]
    report(bench, "shuffles", found, (task.regions * task.references, "reference"), pairs)


def memory(bench: Bench) -> None:
    """Growth of a fresh process's peak memory, 20 pairs at once against 4."""
    growth: dict[str, float] = {}
    for model in ("bpnet",) if bench.quick else ("bpnet", "basset"):
        for kind in ("cislex", "tangermeme"):
            peaks = []
            for size in (4, 20):
                worker = bench.worker(False)
                task = Task(model, 1, device=bench.device)
                worker.ask(f"{kind}:1", replace(task, references=1))
                peaks.append(worker.ask(f"{kind}:{size}", task, what="memory"))
                worker.close()
            growth[f"{model}, {kind}"] = (peaks[1] - peaks[0]) / 16 / 1024
            print(f"    {model}, {kind:12s} {growth[f'{model}, {kind}']:8.2f} MiB per pair")
        ours, theirs = growth[f"{model}, cislex"], growth[f"{model}, tangermeme"]
        print(f"  -> {model}, cislex over tangermeme: {ours / theirs:.2f}")
    bench.record["memory, MiB per pair"] = growth


def precision(bench: Bench) -> None:
    """Error of hypothetical scores against float64; this is not timed."""
    errors: dict[str, float] = {}
    names = ["float32", "bfloat16"] if bench.device == "cpu" else ["float32", "tf32", "bfloat16"]
    for model in ("bpnet", "basset"):
        for name in names:
            task = Task(model, 1, device=bench.device)
            errors[f"{model}, {name}"] = bench.kept.ask(name, task, what="error")
            print(f"    {model}, {name:9s} {errors[f'{model}, {name}']:.1e} of the largest score")
    bench.record["error against float64"] = errors


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "bpnet": lambda bench: deeplift(bench, "bpnet"),
    "basset": lambda bench: deeplift(bench, "basset"),
    "beluga": lambda bench: deeplift(bench, "beluga"),
    "limit": limit,
    "blocks": blocks,
    "ism": ism,
    "tism": tism,
    "shuffles": shuffles,
    "memory": memory,
    "precision": precision,
}


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def hardware(device: str) -> dict[str, object]:
    """What was measured on."""
    found: dict[str, object] = {
        "processor": processor(), "cores": os.cpu_count(), "load before": os.getloadavg()[0],
        "device": device,
    }  # fmt: skip
    if device != "cpu":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few regions and rounds: under five minutes")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas between")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--regions", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu on a busy machine")
    parser.add_argument("--cherimoya-python", default=os.environ.get("CISLEX_CHERIMOYA_PYTHON"))
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(SECTIONS)
    if unknown:
        parser.error(f"--only: found {', '.join(sorted(unknown))}, expected some of {', '.join(SECTIONS)}")
    return options


def main() -> None:
    """Measure, print, and write a record where asked."""
    options = arguments()
    regions = options.regions or (1 if options.quick else 8)
    rounds = options.rounds or (2 if options.quick else 5)
    bench = Bench(options.threads, options.device, options.quick, regions, rounds, options.cherimoya_python)
    bench.record = {
        **hardware(options.device),
        "threads": options.threads, "clock": options.clock, "regions": regions, "rounds": rounds,
        "versions": versions(("torch", "numpy", "numba", "tangermeme", "captum")),
    }  # fmt: skip
    try:
        for name in options.only.split(","):
            print(f"\n{MODELS[name][2] if name in MODELS else name}", flush=True)
            SECTIONS[name](bench)
    finally:
        bench.close()
    bench.record["load after"] = os.getloadavg()[0]
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(bench.record, indent=1) + "\n")


if __name__ == "__main__":
    main()
