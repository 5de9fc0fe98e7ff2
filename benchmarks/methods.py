"""Check the published signs in what `make benchmark` found, and write its tables into docs/results.md.

python benchmarks/methods.py [--results results/benchmark] [--document]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "results.md"
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
#: Columns of methods.tsv that the document shows, and how they are called there.
SHOWN = {
    "yardstick.hypothetical": "r with ISM, hypothetical",
    "yardstick.contributions": "r with ISM, contributions",
    "planted_auprc": "planted AUPRC",
    "deletion": "deletion",
    "insertion": "insertion",
    "stability": "other references",
    "randomised": "random parameters",
    "seconds_per_region": "ms per region",
    "max_delta": "largest delta",
}
WORDS = {
    "interaction": "interaction",
    "effect_balance": "share in the model",
    "attributed_balance": "share attributed",
    "error": "relative error",
}
PAIRS = {"both": "min(a, b)", "either": "min(1, a + b)", "scaled": "a·b"}


def read(results: Path, comparison: str, table: str) -> pd.DataFrame:
    """A table of one of the comparisons."""
    return pd.read_csv(results / "comparisons" / comparison / f"{table}.tsv", sep="\t")


def signs(results: Path) -> list[tuple[str, str, bool]]:
    """Each published sign, what was found, and whether it is as published."""
    with h5py.File(results / "ism" / "enhancer" / "attributions.h5") as handle:
        scores = handle["hypothetical"][:]
    centred = float(np.abs(scores.mean(axis=1)).max() / np.abs(scores).max())
    methods = read(results, "methods", "methods").set_index("analysis")
    tism = methods.loc["tism", "yardstick.hypothetical"]
    columns = ["yardstick.hypothetical", "yardstick.contributions", "planted_auprc", "deletion"]
    corrected, plain = (methods.loc[name, columns] for name in ("saliency", "saliency.uncorrected"))
    pair = read(results, "both", "words").set_index("analysis")["attributed_balance"]
    gains = ", ".join(
        f"{name} {a:.2f} against {b:.2f}" for name, a, b in zip(columns, corrected, plain, strict=True)
    )
    return [
        (
            "hypothetical ISM is centred at the uniform background",
            f"largest mean {centred:.0e}",
            centred < 1e-5,
        ),
        ("TISM–ISM correlation (published: about 0.7)", f"{tism:.2f}", 0.55 <= tism <= 0.9),
        ("gradient correction helps gradients", gains, bool((corrected > plain).all())),
        (
            "AND gap: Rescale gives all to one word, RevealCancel splits",
            f"share of the smaller word {pair['both_rescale']:.2f} against {pair['both_cancel']:.2f}",
            pair["both_rescale"] < 0.1 and pair["both_cancel"] > 0.25,
        ),
    ]


def cell(name: str, value: float) -> str:
    """A number as the document shows it."""
    if np.isnan(value):
        return "–"
    if name == "max_delta":
        return f"{value:.0e}"
    return f"{1000 * value:.3g}" if name == "seconds_per_region" else f"{value:.2f}".replace("-", "−")


def tables(results: Path) -> list[str]:
    """Lines of both tables."""
    methods = read(results, "methods", "methods").sort_values("yardstick.hypothetical", ascending=False)
    chance = methods[["planted_share", "deletion_random", "insertion_random"]].mean()
    lines = ["| analysis | " + " | ".join(SHOWN.values()) + " |", "| --- |" + " --- |" * len(SHOWN)]
    for row in methods.to_dict("records"):
        lines.append(f"| {row['analysis']} | " + " | ".join(cell(name, row[name]) for name in SHOWN) + " |")
    by_chance = (chance["planted_share"], chance["deletion_random"], chance["insertion_random"])
    shown = " | ".join(f"{value:.2f}" for value in by_chance)
    lines.append(f"| random order | – | – | {shown} |" + " – |" * (len(SHOWN) - 5))
    lines += [
        "",
        "| pair | analysis | " + " | ".join(WORDS.values()) + " |",
        "| --- | --- |" + " --- |" * len(WORDS),
    ]
    for comparison, formula in PAIRS.items():
        for row in read(results, comparison, "words").to_dict("records"):
            cells = " | ".join(cell(name, row[name]) for name in WORDS)
            lines.append(f"| {formula} | {row['analysis'].removeprefix(f'{comparison}_')} | {cells} |")
    return lines


def main() -> int:
    """Print both tables and the signs; 1 where one is not as published."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results/benchmark"))
    parser.add_argument("--document", action="store_true", help="write the tables into docs/results.md")
    given = parser.parse_args()
    found = signs(given.results)
    lines = tables(given.results)
    print("\n".join(lines), end="\n\n")
    for what, value, holds in found:
        print(f"{'ok' if holds else '!!'} {what}: {value}")
    if given.document:
        said = [f"- {what}: {value}." for what, value, _ in found]
        text = DOCUMENT.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        DOCUMENT.write_text("\n".join([before + BEGIN, *said, "", *lines, END + after]), encoding="utf-8")
    return 0 if all(holds for *_, holds in found) else 1


if __name__ == "__main__":
    sys.exit(main())
