"""The table of docs/models.md: families of models, random weights, each read by its loader and attributed.

    OMP_NUM_THREADS=1 python benchmarks/families.py [--only bpnet,basset] [--document]

Each family runs in a process of its own, so that its peak memory is its own: DeepLIFT/SHAP with five
references beside forward and input gradient of six rows (processor time, one thread), then every other method
on one example. A family whose package is missing is skipped with the reason; docs/models.md says how the
packages of Enformer, Borzoi and AlphaGenome are installed. ``--document`` writes what was measured into
the record, and the record into the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "benchmarks")]

import torch
from cislex.attribution import ISM, TISM, DeepLiftShap, DinucleotideShuffle, IntegratedGradients, attribute
from cislex.errors import message_of
from cislex.models.architectures import build
from cislex.models.loading import load_model
from cislex.provenance import versions
from cislex.targets import LogCounts, Output, Tracks
from cislex.targets.base import Target
from long_context import SNAPSHOTS, randomise
from published_models import write_beluga, write_chrombpnet
from track_models import REFERENCES, deep_lift_shap, sequences

RECORD = ROOT / "benchmarks" / "results" / "families.json"
DOCUMENT = ROOT / "docs" / "models.md"
BEGIN, END = "<!-- families: begin -->\n", "<!-- families: end -->"
#: Largest relative delta at which a rule of DeepLIFT/SHAP counts as exact in float32.
EXACT = 1e-3


@dataclass(frozen=True)
class Weights:
    """A file of random weights, and how it is loaded and read."""

    loader: str
    path: Path
    target: Target
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """A row: what it is called, how long its sequences are, and what writes its weights."""

    title: str
    length: int
    write: Callable[[Path], Weights]
    examples: int = 4


def zoo(architecture: str, folder: Path, **hyperparameters: Any) -> Weights:
    """A network of the zoo."""
    torch.manual_seed(0)
    torch.save(randomise(build(architecture, **hyperparameters)).state_dict(), folder / "w.pt")
    options = {"architecture": architecture, "hyperparameters": hyperparameters}
    return Weights("architecture", folder / "w.pt", Output(0), options)


def published(write: Callable[[Path], dict[str, Any]], target: Target, folder: Path) -> Weights:
    """Weights in a published layout."""
    options = write(folder / "weights")
    return Weights(options.pop("loader"), folder / "weights", target, options)


def transformer(folder: Path) -> Weights:
    """A convolution and two layers of PyTorch's own transformer, as a user's factory."""
    from architectures import transformer as make

    torch.manual_seed(0)
    torch.save(randomise(make()).state_dict(), folder / "w.pt")
    options = {"module": f"{ROOT / 'benchmarks' / 'architectures.py'}:transformer"}
    return Weights("factory", folder / "w.pt", Output(0), options)


def keras(folder: Path) -> Weights:
    """Dilated residual blocks like SpliceAI's, fewer: 32 channels, 8 blocks, logits of three classes."""
    from cislex.models.formats.keras_runtime import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(0)
    kinds = keras.layers
    inputs = keras.Input((2000, 4))
    h = kinds.Conv1D(32, 1)(inputs)
    for block in range(8):
        inner = h
        for _ in range(2):
            inner = kinds.Activation("relu")(kinds.BatchNormalization()(inner))
            inner = kinds.Conv1D(32, 11, dilation_rate=1 + 3 * (block // 4), padding="same")(inner)
        h = kinds.Add()([h, inner])
    outputs = kinds.Dense(3)(kinds.GlobalAveragePooling1D()(kinds.Cropping1D(950)(h)))
    keras.Model(inputs, outputs).save(folder / "model.keras")
    return Weights("keras", folder / "model.keras", Output(2))


def snapshot(name: str, folder: Path) -> Weights:
    """A long-context network of another package."""
    found = SNAPSHOTS[name](folder)
    return Weights(found.loader, found.weights, Tracks(**found.target), found.options)


FAMILIES = {
    "bpnet": Family(
        "BPNet, 64 filters × 8 layers", 2114,
        partial(zoo, "bpnet", tasks=1, input_length=2114, filters=64, layers=8), 8,
    ),
    "chrombpnet": Family(
        "ChromBPNet, 512 filters × 8 layers, and its bias model, log counts", 2114,
        partial(published, write_chrombpnet, LogCounts()), 1,
    ),
    "basset": Family("Basset", 600, partial(zoo, "basset", sigmoid=False), 8),
    "beluga": Family("DeepSEA Beluga", 2000, partial(published, write_beluga, Output(0)), 1),
    "deepstarr": Family("DeepSTARR", 249, partial(zoo, "deepstarr"), 16),
    "cnn_lstm": Family(
        "CNN and LSTM (DanQ-like)", 500, partial(zoo, "cnn_lstm", tasks=2, input_length=500), 16,
    ),
    "transformer": Family("convolution and 2 transformer layers, 64 channels", 1024, transformer, 8),
    "keras": Family("Keras: 8 dilated residual blocks (SpliceAI-like), 32 channels", 2000, keras),
    "enformer": Family(
        "Enformer, reduced: 2 of 11 layers, 192 of 1,536 channels", 2048, partial(snapshot, "enformer"), 8,
    ),
    "borzoi": Family(
        "Borzoi, reduced: 2 of 8 layers, 192 of 1,536 channels", 4096, partial(snapshot, "borzoi"), 2,
    ),
    "flashzoi": Family(
        "Flashzoi, reduced: 2 of 8 layers, 512 of 1,536 channels", 4096, partial(snapshot, "flashzoi"), 2,
    ),
    "alphagenome": Family(
        "AlphaGenome, reduced: 2 of 9 layers, 128 of 1,536 channels", 4096,
        partial(snapshot, "alphagenome"), 2,
    ),
}  # fmt: skip


def measure(name: str) -> dict[str, Any]:
    """One row, in this process."""
    family = FAMILIES[name]
    row: dict[str, Any] = {"family": name, "title": family.title, "length": family.length}
    with tempfile.TemporaryDirectory() as folder:
        try:
            weights = family.write(Path(folder))
        except ImportError as error:
            return {**row, "skipped": str(error)}
        model = load_model(weights.loader, weights=weights.path, **weights.options).model
    model.requires_grad_(False)
    x = sequences(family.examples, family.length)
    row |= {"loader": weights.loader, "parameters": sum(tensor.numel() for tensor in model.parameters())}
    row |= deep_lift_shap(model, x, weights.target)
    shuffles, middle = DinucleotideShuffle(n=2), family.length // 2
    methods = {
        "RevealCancel": DeepLiftShap(shuffles, rule="reveal_cancel"),
        "TISM": TISM(),
        "IG": IntegratedGradients(steps=4, references=shuffles),
        "ISM": ISM(start=middle, end=middle + 2),
    }
    row["methods"] = {"DeepLIFT/SHAP": {"delta": row["relative_delta"]}}
    for title, method in methods.items():
        try:
            found = attribute(model, x[:1], method, target=weights.target, device="cpu")
        except Exception as error:
            row["methods"][title] = {"error": message_of(error)}
            continue
        delta = found.max_relative_delta if title == "RevealCancel" else None
        row["methods"][title] = {} if delta is None else {"delta": float(delta.max())}
    return row


def works(found: dict[str, Any]) -> bool:
    """Whether a method ran, and what should be complete is."""
    return "error" not in found and found.get("delta", 0.0) <= EXACT


def table(record: dict[str, Any]) -> list[str]:
    """Lines of the table."""
    names = ["DeepLIFT/SHAP", "RevealCancel", "TISM", "IG", "ISM"]
    lines = [
        "| family | parameters | input | loader | methods | relative delta | time, of plain | peak memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        good = [name for name in names if works(row["methods"][name])]
        methods = (
            "all" if good == names else f"all but {', '.join(name for name in names if name not in good)}"
        )
        cells = [
            row["title"],
            f"{row['parameters']:,}",
            f"{row['length']:,} bp",
            f"`{row['loader']}`",
            methods,
        ]
        cells += [
            f"{row['relative_delta']:.0e}",
            f"{row['deep_lift_shap']:.1f}",
            f"{row['peak_memory_mb']:,} MB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def document(text: str, record: dict[str, Any]) -> str:
    """The document with the table from the record."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n".join(table(record)) + "\n" + END + rest.partition(END)[2]


def main() -> None:
    """Measure each family in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one", choices=FAMILIES, help="one family, in this process; prints JSON")
    parser.add_argument("--only", default=",".join(FAMILIES), help="families, with commas between")
    parser.add_argument(
        "--document", action="store_true", help="write the record and the table of docs/models.md"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    kept = json.loads(RECORD.read_text(encoding="utf-8"))["rows"] if RECORD.exists() else []
    rows = {row["family"]: row for row in kept} if options.document else {}
    for name in options.only.split(","):
        command = [sys.executable, __file__, "--one", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        print(f"{name}: skipped, {row['skipped']}" if "skipped" in row else row, flush=True)
        if "skipped" not in row:
            rows[name] = row
    ordered = [rows[name] for name in FAMILIES if name in rows]
    record = {"references": REFERENCES, "threads": 1, "versions": versions(), "rows": ordered}
    print("\n".join(table(record)))
    if options.document:
        RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main()
