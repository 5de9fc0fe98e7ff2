"""Everything that is measured with a GPU, in one command: a dated record.

    python benchmarks/gpu.py [--only tests,chrombpnet,scaling,attribution,accuracy,published,variants]
                             [--regions 512] [--out FILE] [--device cuda]

Steps, each in a process of its own, so that one that fails leaves the others their turn:

- tests: ``pytest -m gpu``, which compares GPU and CPU;
- chrombpnet: DeepLIFT/SHAP of counts and profile of a network like ChromBPNet's (512 filters, 8 layers,
  2,114 bp), 20 dinucleotide shuffles made on the way, random regions: regions per second in float32, TF32 and
  bfloat16, their errors against float64, memory, and how busy the GPU was (``nvidia-smi``, every 0.2 s);
- scaling: the same on every GPU of the machine at once, a process each, against one GPU alone;
- attribution, accuracy, published, variants: these programs of ``benchmarks/`` with ``--device cuda``.

The record, ``benchmarks/results/gpu_<name>_<date>.json`` unless ``--out`` names another, has what each step
printed last, its seconds and its exit status. ``--device cpu`` tries the program itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

LENGTH, FILTERS, LAYERS, SHUFFLES, CROP = 2114, 512, 8, 20, 20
#: Regions that are compared with float64, and the goal: 330,000 regions in under an hour.
COMPARED, GOAL = 4, 100
#: Lines of a step's output that are kept.
KEPT = 60
STEPS = ("tests", "chrombpnet", "scaling", "attribution", "accuracy", "published", "variants")


def commands(device: str, folder: Path) -> dict[str, list[str]]:
    """What each step runs; records go to the folder."""
    program = [sys.executable]

    def of(name: str, *options: str) -> list[str]:
        path, out = ROOT / f"benchmarks/{name}.py", folder / f"{name}.json"
        return [*program, str(path), "--device", device, "--out", str(out), *options]

    own = [*program, __file__, "--device", device]
    return {
        "tests": [*program, "-m", "pytest", "-m", "gpu", "-q", "-rs", str(ROOT / "tests")],
        "chrombpnet": [*own, "--one", "chrombpnet"],
        "scaling": [*own, "--one", "scaling"],
        "attribution": of("attribution", "--rounds", "3"),
        "accuracy": of("accuracy"),
        "published": of("published_models"),
        "variants": of("variants"),
    }


class Watch:
    """How busy the GPU is, and its memory, while a block runs; nothing without ``nvidia-smi``."""

    QUERY = ("nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits")

    def __init__(self, device: str) -> None:
        self.busy: list[float] = []
        self.memory: list[float] = []
        self._process: subprocess.Popen[str] | None = None
        if device == "cpu":
            return
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        try:
            command = [*self.QUERY, "-lms", "200", "-i", visible]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        except OSError:
            return
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            cells = re.findall(r"[\d.]+", line)
            if len(cells) == 2:
                self.busy.append(float(cells[0]))
                self.memory.append(float(cells[1]))

    def found(self) -> dict[str, float]:
        """Means over what was seen so far."""
        if self._process is not None:
            self._process.kill()
        if not self.busy:
            return {}
        return {"gpu busy, %": round(statistics.mean(self.busy), 1), "gpu memory, MB": max(self.memory)}


def chrombpnet(device: str, regions: int) -> dict[str, Any]:
    """Rates and errors by precision."""
    import torch
    from cislex.attribution import (
        DeepLiftShap,
        DinucleotideShuffle,
        FixedReferences,
        attribute_targets,
        make_references,
    )
    from cislex.models.formats.chrombpnet import ValidBPNet
    from cislex.targets.targets import all_from_config

    torch.manual_seed(0)
    filters = FILTERS if device != "cpu" else 32
    model = ValidBPNet(filters=filters, layers=LAYERS, crop=CROP).eval()
    targets = list(
        all_from_config({"counts": {"kind": "log_counts"}, "profile": {"kind": "profile"}}).values()
    )
    index = torch.randint(0, 4, (regions, 1, LENGTH), generator=torch.Generator().manual_seed(0))
    x = torch.zeros(regions, 4, LENGTH, dtype=torch.uint8).scatter_(1, index, 1)
    few = x[:COMPARED]
    same = DeepLiftShap(FixedReferences(make_references(DinucleotideShuffle(n=SHUFFLES), few)))
    exact = [
        found.hypothetical
        for found in attribute_targets(model, few, same, targets, device=device, precision="float64")
    ]
    record: dict[str, Any] = {"regions": regions, "filters": filters, "shuffles": SHUFFLES, "goal": GOAL}
    for precision in ("float32", "tf32", "bfloat16") if device != "cpu" else ("float32", "bfloat16"):
        run = {"device": device, "precision": precision}
        found = attribute_targets(model, few, same, targets, **run)  # warms, too
        errors = [
            float((a.hypothetical - b).abs().max() / b.abs().max()) for a, b in zip(found, exact, strict=True)
        ]
        watch, began = Watch(device), time.perf_counter()
        attribute_targets(model, x, DeepLiftShap(DinucleotideShuffle(n=SHUFFLES)), targets, **run)
        seconds = time.perf_counter() - began
        record[precision] = {
            "regions per second": round(regions / seconds, 2), "largest error": max(errors), **watch.found(),
        }  # fmt: skip
        if device != "cpu":
            record[precision]["allocated at most, GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
            torch.cuda.reset_peak_memory_stats()
    return record


def scaling(device: str, regions: int) -> dict[str, Any]:
    """Regions per second of all GPUs together, over those of one alone times their number."""
    import torch

    number = torch.cuda.device_count() if device != "cpu" else 1
    if number < 2:
        return {"gpus": number, "told": "not measured: it needs two"}
    command = [sys.executable, __file__, "--one", "chrombpnet", "--device", device, "--regions", str(regions)]

    def rates(gpus: range) -> list[float]:
        runs = [
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"CUDA_VISIBLE_DEVICES": str(gpu)},
            )
            for gpu in gpus
        ]
        said = [json.loads(run.communicate()[0].splitlines()[-1]) for run in runs]
        return [one["float32"]["regions per second"] for one in said]

    alone, together = rates(range(1))[0], rates(range(number))
    return {"gpus": number, "alone": alone, "together": together, "scaling": sum(together) / number / alone}


def run(name: str, command: list[str], folder: Path, regions: int) -> dict[str, Any]:
    """Run one step; what it printed last, and its record."""
    print(f"{name}: {' '.join(command)}", flush=True)
    began = time.perf_counter()
    if "--one" in command:
        command = [*command, "--regions", str(regions)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    lines = done.stdout.splitlines()
    found: dict[str, Any] = {
        "status": done.returncode, "seconds": round(time.perf_counter() - began, 1), "said": lines[-KEPT:],
    }  # fmt: skip
    written = folder / f"{Path(command[1]).stem}.json"
    if written.is_file():
        found["record"] = json.loads(written.read_text())
    print("\n".join(lines[-5:]), flush=True)
    return found


def main() -> None:
    """Run the steps and write the record after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(STEPS), help="steps, with commas between")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--regions", type=int, default=512)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", choices=("chrombpnet", "scaling"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(
            json.dumps({"chrombpnet": chrombpnet, "scaling": scaling}[asked.one](asked.device, asked.regions))
        )
        return
    unknown = set(asked.only.split(",")) - set(STEPS)
    if unknown:
        parser.error(f"--only: found {', '.join(sorted(unknown))}, expected some of {', '.join(STEPS)}")
    from attribution import hardware
    from cislex.provenance import versions

    record: dict[str, Any] = {
        **hardware(asked.device),
        "date": date.today().isoformat(),
        "versions": versions(),
    }
    gpu = re.sub(r"\W+", "-", str(record.get("gpu", asked.device))).lower()
    out = asked.out or ROOT / f"benchmarks/results/gpu_{gpu}_{record['date']}.json"
    record["steps"] = {}
    failed = []
    with tempfile.TemporaryDirectory() as name:
        for step, command in commands(asked.device, Path(name)).items():
            if step not in asked.only.split(","):
                continue
            record["steps"][step] = run(step, command, Path(name), asked.regions)
            if record["steps"][step]["status"]:
                failed.append(step)
            out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"written: {out}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}; what they said last is in the record")


if __name__ == "__main__":
    main()
