"""Designs by every guide: the GC walk, and the demo's enhancers.

The built-in network of convolutions and an LSTM learns to tell 50-mers of more than 68 % G and C from others.
Shuffles of 17 G, 17 C, 8 A and 8 T, at this border, then walk for 20 rounds up and down with every guide.
Prints a table of means, and writes it as JSON, and the walks of integrated gradients as a figure.

With ``--demo`` it compares the guides on the model and regions of `make demo`: how often a guided walk
is ahead of the exact greedy one after as many edits.

    python benchmarks/evolution.py [--starts 50] [--out benchmarks/results/evolution.json]
        [--figure docs/images/gc-walk.svg]
    python benchmarks/evolution.py --demo results/demo [--starts 6]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from cislex.design.constraints import Constraints, ConstraintSettings
from cislex.design.guides import GUIDES, make_ensemble, rounding_of
from cislex.design.starts import StartSettings, make_starts
from cislex.design.walk import Objective, State, WalkSettings, evolve
from cislex.models.architectures import build
from cislex.models.loading import load_model
from cislex.report.figures.evolution import walk_chart
from cislex.sequences.store import to_one_hot
from cislex.targets import Output

LENGTH, BORDER, ROUNDS = 50, 0.68, 20
COMPOSITION = {"A": 8, "C": 17, "G": 17, "T": 8}
#: The logit of one class against the other.
OBJECTIVE = Objective(1, 0)


def draw(n: int, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """One-hot float32 (n, 4, 50) of GC contents from 20 to 100 %, and the class of each."""
    strong = random.random((n, LENGTH)) < random.uniform(0.2, 1, (n, 1))
    codes = np.where(strong, random.choice([1, 2], (n, LENGTH)), random.choice([0, 3], (n, LENGTH)))
    truth = torch.from_numpy((strong.mean(axis=1) > BORDER).astype(np.int64))
    return torch.from_numpy(to_one_hot(codes.astype(np.uint8))).float(), truth


def train(seed: int = 0, batches: int = 600) -> tuple[nn.Module, float]:
    """The network after some batches of 64, and its accuracy on 10,000 other sequences."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    sizes = {"filters": 16, "kernel": 5, "pool": 4, "hidden": 16, "dense": 16}
    model = build("cnn_lstm", tasks=2, input_length=LENGTH, **sizes)
    optimiser, loss = torch.optim.Adam(model.parameters(), lr=5e-3), nn.CrossEntropyLoss()
    for _ in range(batches):
        x, truth = draw(64, random)
        optimiser.zero_grad()
        loss(model(x), truth).backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        x, truth = draw(10_000, random)
        return model, float((model(x).argmax(dim=1) == truth).double().mean())


def walk(
    model: nn.Module, starts: NDArray[np.uint8], guide: str, *, down: bool, objective: Objective = OBJECTIVE
) -> list[State]:
    """Edit all starts with a guide."""
    length = starts.shape[1]
    made = make_ensemble(
        [model],
        length,
        targets=[Output(0), Output(1)],
        objective=objective,
        guide={"name": guide, "steps": 50},
        down=down,
        batch_size=512,
    )
    how = WalkSettings(
        rounds=ROUNDS, greedy=guide == "greedy", down=down, rounding=rounding_of({"name": guide})
    )
    free = [Constraints(ConstraintSettings(), np.zeros(length, bool))] * len(starts)
    return evolve(starts, np.arange(len(starts)), free, made.score, made.predict, objective, how)


def whole_paths(states: list[State]) -> list[list[State]]:
    """States (n, rounds + 1): the last one stands for the rounds that were not needed."""
    paths = [state.path() for state in states]
    return [path + path[-1:] * (ROUNDS + 1 - len(path)) for path in paths]


def by_round(states: list[State]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Confidence in the class of high GC, and GC content, (n, rounds + 1) each."""
    paths = whole_paths(states)
    logits = np.array([[float(OBJECTIVE.value(one.predictions)) for one in path] for path in paths])
    gc = np.array([[np.isin(one.codes, (1, 2)).mean() for one in path] for path in paths])
    return 1 / (1 + np.exp(-logits)), gc


def compare_on_demo(results: Path, n: int) -> None:
    """Print how far each guide gets, and how often it is ahead of exact greedy after as many edits."""
    model = load_model("trained", weights=results / "models" / "demo" / "fold_0.pt").model
    files = {"sequences": results / "regions" / "enhancer" / "sequences.h5"}
    files["predictions"] = results / "enhancer" / "predictions.tsv"
    print("start direction guide mean-after-0-5-10-20 ahead-of-greedy")
    for shuffle in ("none", "dinucleotide_shuffle"):
        drawn = StartSettings(n=n, shuffle=shuffle)
        starts = make_starts(drawn, 200, objective=(["enhancer"], Objective()), **files).codes
        for down in (False, True):
            exact = None
            for guide in sorted(GUIDES, key=lambda name: name != "greedy"):
                states = walk(model, starts, guide, down=down, objective=Objective())
                paths = whole_paths(states)
                values = np.array([[float(one.predictions[0]) for one in path] for path in paths])
                exact = values if exact is None else exact
                ahead = int(((exact - values) * (-1 if down else 1) < -1e-4).sum())
                means = " ".join(f"{values[:, number].mean():.2f}" for number in (0, 5, 10, ROUNDS))
                print(shuffle, "down" if down else "up", guide, means, f"{ahead}/{n * ROUNDS}", flush=True)


def main() -> None:
    """Train, walk, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--demo", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.demo:
        compare_on_demo(options.demo, options.starts)
        return
    model, accuracy = train()
    drawn = StartSettings(kind="random", n=options.starts, composition=COMPOSITION)
    starts = make_starts(drawn, LENGTH).codes
    record: dict[str, Any] = {"starts": len(starts), "accuracy": accuracy, "walks": []}
    print(f"accuracy {accuracy:.3f}; {len(starts)} starts\n\nguide direction confidence GC monotone seconds")
    walks: dict[str, NDArray[np.float64]] = {}
    for guide in GUIDES:
        for down in (False, True):
            began = time.perf_counter()
            confidence, gc = by_round(walk(model, starts, guide, down=down))
            seconds = time.perf_counter() - began
            row = {
                "guide": guide,
                "direction": "down" if down else "up",
                "confidence": [float(confidence[:, number].mean()) for number in (0, 5, 10, ROUNDS)],
                "gc": [float(gc[:, number].mean()) for number in (0, 5, 10, ROUNDS)],
                "steps_in_direction": float((np.diff(confidence) * (-1 if down else 1) >= 0).mean()),
                "seconds": seconds,
            }
            record["walks"].append(row)
            if guide == "integrated_gradients":
                walks[str(row["direction"])] = confidence
            shown = [" ".join(f"{value:.3f}" for value in row[key]) for key in ("confidence", "gc")]
            print(
                guide, row["direction"], *shown, f"{row['steps_in_direction']:.3f} {seconds:.1f}", flush=True
            )
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n")
    if options.figure:
        label = "Confidence in the class of high GC content, walked up and down"
        options.figure.write_text(walk_chart(walks, y_label="confidence: GC above 68 %", label=label) + "\n")


if __name__ == "__main__":
    main()
