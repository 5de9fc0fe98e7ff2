"""Write the tables of docs/results.md from the records of benchmarks/results.

.venv/bin/python benchmarks/document_results.py                       the tables, from the records
.venv/bin/python benchmarks/document_results.py --run results/yeast   record a finished run first

`make docs-results` records the runs of demo, yeast and yeast-folds that are there,
and takes the README's picture.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "benchmarks" / "results"
DOCUMENT = ROOT / "docs" / "results.md"
Rows = list[list[str]]
#: What is told of the first motif of a target.
TOP = ("motif", "consensus", "match_1", "match_1_name", "match_1_q")


def table(head: list[str], rows: Rows) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def power(value: float) -> str:
    """1e-7, as the document writes it; nothing for a zero."""
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def signed(value: float, digits: int) -> str:
    """A number with a true minus."""
    return f"{value:.{digits}f}".replace("-", "−")


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a tab-separated table."""
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def record_run(results: Path) -> dict[str, Any]:
    """What docs/results.md says of a run with one model: accuracy by fold, motifs, truth."""
    tables = sorted((results / "models").rglob("fold_*.evaluation.tsv"))
    folds = [fold_scores(path) for path in tables]
    targets = {}
    for path in sorted(results.glob("*/*/motifs.tsv")):
        name, motifs, planted = path.parent.name, rows_of(path), path.with_name("truth.tsv")
        targets[name] = {
            "folds": [fold[name] for fold in folds],
            "patterns": len(motifs),
            "top": {key: motifs[0][key] for key in TOP},
            "truth": rows_of(planted) if planted.exists() else [],
            "spread": spread(path.with_name("attributions.h5")),
        }
    regions = {}
    for path in sorted(results.glob("regions/*/regions.summary.tsv")):
        (summary,) = rows_of(path)
        regions[path.parent.name] = {"kept": int(summary["rows"]), "dropped": int(summary["dropped"])}
    lexicon = rows_of(results / "lexicon" / "lexicon.tsv")
    combined = {word["name"]: bool(word["composite_of"]) for word in lexicon}  # whether it is a composite
    return {"targets": targets, "regions": regions, "words": combined}


def fold_scores(evaluation: Path) -> dict[str, dict[str, Any]]:
    """Test scores of one fold by task, with those of the best known motif."""
    baseline = evaluation.with_name(evaluation.name.replace("evaluation", "baseline"))
    found: dict[str, dict[str, Any]] = {}
    for path in (evaluation, baseline):
        for row in rows_of(path):
            if row["split"] == "test":
                words = ("pwm_id", "pwm_name")
                cells = {
                    k: v if k in words else float(v) for k, v in row.items() if k not in ("task", "split")
                }
                found[row["task"]] = found.get(row["task"], {}) | cells
    return found


def spread(attributions: Path) -> float | None:
    """Median share of the contributions that the standard deviation over folds is, as on the page."""
    with h5py.File(attributions) as handle:
        if "fold_spread" not in handle:
            return None
        sizes = np.abs((handle["hypothetical"][:] * handle["sequences"][:]).sum(1)).sum(1)
        return float(np.median(handle["fold_spread"][:].sum(1) / sizes))


def interval(scores: dict[str, float], name: str) -> str:
    """A score with its 95 % interval."""
    return f"{scores[name]:.3f} ({scores[f'{name}_low']:.3f}–{scores[f'{name}_high']:.3f})"


def gain(found: dict[str, Any]) -> str:
    """Interval of the paired difference to the known motif."""
    low, high = found["auprc_gain_low"], found["auprc_gain_high"]
    return " to ".join(f"{value:+.3f}".replace("-", "−") for value in (low, high))


def demo(record: dict[str, Any]) -> str:
    """Accuracy on the demo's held-out chromosome."""
    head = ["task", "AUROC (95 % interval)", "AUPRC (95 % interval)", "AUPRC of the best known motif",
            "difference in AUPRC (paired, 95 %)"]  # fmt: skip
    return table(
        head,
        [
            [name, interval(found["folds"][0], "auroc"), interval(found["folds"][0], "auprc"),
             f"{found['folds'][0]['pwm_auprc']:.3f} ({found['folds'][0]['pwm_name']})",
             gain(found["folds"][0])]
            for name, found in record["targets"].items()
        ],
    )  # fmt: skip


def truth(record: dict[str, Any]) -> str:
    """Planted motifs of the demo, those that drive peaks."""
    rows = [
        [f"{row['name']} {row['motif']}", f"{target} {row['recovered_as']}", power(float(row["q"])),
         f"{float(row['hits_precision']):.3f}", f"{float(row['hits_recall']):.3f}"]
        for target, found in record["targets"].items()
        for row in found["truth"]
        if row["functional"] == "True" and row["recovered_as"]
    ]  # fmt: skip
    return table(["planted motif", "recovered as", "q", "hits' precision", "hits' recall"], rows)


def words(record: dict[str, Any]) -> str:
    """What the patterns of all targets are, in a sentence."""
    patterns = sum(found["patterns"] for found in record["targets"].values())
    single = [name for name, composite in record["words"].items() if not composite]
    composites = [name for name, composite in record["words"].items() if composite]
    text = f"{patterns} patterns of {len(record['targets'])} targets are {len(single)} words "
    text += f"({', '.join(single)})"
    return text + (f" and {len(composites)} composites ({', '.join(composites)})." if composites else ".")


def yeast(record: dict[str, Any]) -> str:
    """Accuracy and top motif of each factor."""
    head = ["factor", "test AUROC (95 % interval)", "test AUPRC (95 % interval)", "AUPRC of the known motif",
            "difference in AUPRC (paired, 95 %)",
            "top motif (consensus)", "best JASPAR match", "q"]  # fmt: skip
    rows = [
        [name.capitalize(), interval(found["folds"][0], "auroc"), interval(found["folds"][0], "auprc"),
         f"{found['folds'][0]['pwm_auprc']:.3f}", gain(found["folds"][0]), found["top"]["consensus"],
         f"{found['top']['match_1_name']} {found['top']['match_1']}", power(float(found["top"]["match_1_q"]))]
        for name, found in ((name, record["targets"][name]) for name in ("reb1", "abf1", "rap1"))
    ]  # fmt: skip
    return table(head, rows)


def yeast_folds(record: dict[str, Any]) -> str:
    """Both folds of each factor."""
    head = ["factor", "AUROC of fold_0, fold_1", "AUPRC of fold_0, fold_1", "AUPRC of the known motif",
            "difference in AUPRC of fold_0; fold_1",
            "best match of the top motif", "q", "spread over folds"]  # fmt: skip
    rows = []
    for name in ("reb1", "abf1", "rap1"):
        found = record["targets"][name]
        pairs = [
            ", ".join(f"{fold[key]:.3f}" for fold in found["folds"])
            for key in ("auroc", "auprc", "pwm_auprc")
        ]
        top = found["top"]
        rows.append(
            [name.capitalize(), *pairs, "; ".join(gain(fold) for fold in found["folds"]),
             f"{top['match_1_name']} {top['match_1']}", power(float(top["match_1_q"])),
             f"{100 * found['spread']:.0f} %"]
        )  # fmt: skip
    return table(head, rows)


def splice_sites(record: dict[str, Any]) -> str:
    """DeepLIFT/SHAP and TISM against ISM at splice sites."""
    head = ["site", "logit", "largest relative delta", "contributions, r with ISM: DeepLIFT/SHAP", "TISM",
            "hypothetical scores, r with ISM: DeepLIFT/SHAP", "TISM"]  # fmt: skip
    keys = ("shap_r", "tism_r", "shap_hypothetical_r", "tism_hypothetical_r")
    rows = [
        [f"{site['gene']} {site['kind'].removesuffix('s')}", signed(site["logit"], 2), power(site["delta"]),
         *(f"{site[key]:.2f}" for key in keys)]
        for site in record["sites"]
    ]  # fmt: skip
    return table(head, rows)


def yeast_variants(record: dict[str, Any]) -> str:
    """Substitutions in sites and away from them."""
    rows = [
        [found["factor"].capitalize(), f"{found['inside']}, {found['outside']}",
         f"{found['auroc']:.3f}", f"{found['others']:.3f}"]
        for found in record["factors"]
    ]  # fmt: skip
    return table(["factor", "variants inside, outside", r"AUROC of \|effect\|", "of the other targets"], rows)


GUIDES = {
    "integrated_gradients": "integrated gradients", "tism": "TISM", "deep_lift_shap": "DeepLIFT/SHAP",
    "ism": "ISM", "greedy": "exact greedy",
}  # fmt: skip


def gc_walk(record: dict[str, Any]) -> str:
    """The walks up and down in GC content."""
    head = ["guide", "confidence up after 0, 5, 20 edits", "GC after 20",
            "confidence down after 0, 5, 20 edits", "GC after 20", "time for both"]  # fmt: skip
    walks = {(walk["guide"], walk["direction"]): walk for walk in record["walks"]}
    rows = []
    for guide, name in GUIDES.items():
        both = [walks[guide, direction] for direction in ("up", "down")]
        cells = []
        for walk in both:
            first, five, _, last = walk["confidence"]
            cells += [f"{first:.2f}, {five:.3f}, {last:.3f}", f"{100 * walk['gc'][-1]:.0f}"]
        rows.append([name, *cells, f"{sum(walk['seconds'] for walk in both):.0f} s"])
    return table(head, rows)


def grammar(record: list[dict[str, Any]]) -> str:
    """The lexicon under five seeds."""
    head = ["seed", "patterns", "of these composites", "right composites", "words", "adjusted Rand index",
            "planted motifs that are a word (Jaccard)"]  # fmt: skip
    keys = ("seed", "patterns", "composites", "composites_right")
    rows = [
        [
            *(str(run[key]) for key in keys),
            str(len(run["words"])),
            str(run["rand_index"]),
            str(run["jaccard"]),
        ]
        for run in record
    ]
    return table(head, rows)


MODES = {
    "plain": "plain forward and gradient, one row", "deep_lift_shap": "DeepLIFT/SHAP",
    "deep_lift_shap, again": "DeepLIFT/SHAP, `checkpoint=True`", "tism": "TISM",
    "tism, again": "TISM, `checkpoint=True`",
}  # fmt: skip


def long_inputs(record: dict[str, Any]) -> str:
    """Memory and time of long inputs."""
    found = {(row["mode"], row["length"]): row for row in record["rows"]}
    lengths = sorted({row["length"] for row in record["rows"]})
    rows = [
        [name, *(f"{found[mode, n]['megabytes']:,} MB, {found[mode, n]['seconds']:.1f} s" for n in lengths)]
        for mode, name in MODES.items()
    ]
    return table(["", *(f"{length:,} bp" for length in lengths)], rows)


def many_targets(record: dict[str, Any]) -> str:
    """Time of many targets in that of one."""
    names = {"TISM": "TISM", "DeepLiftShap": "DeepLIFT/SHAP"}
    rows = [
        [
            f"{names[row['method']]}, {row['targets']} targets",
            f"{row['a backward each']:.0f}",
            f"{row['shared']:.0f}",
        ]
        for row in record["rows"]
    ]
    return table(["", "a backward each", "shared"], rows)


OPTIONS = {
    "whole regions": "whole regions", "round_to: float16": "`round_to: float16`",
    "round_to: bfloat16": "`round_to: bfloat16`", "keep: 5000": "`keep: 5000`",
    "window: 2000": "`window: 2000`",
    "two folds": "whole regions, mean of two folds and their spread",
    "two folds, float16": "the same with `round_to: float16`",
}  # fmt: skip


def gigabytes(value: float) -> str:
    """One digit after the point below ten."""
    return f"{value:.0f} GB" if value >= 10 else f"{value:.1f} GB"


def storage(record: dict[str, Any]) -> str:
    """Files and memory of each way to store long inputs."""
    found = record["options"]
    rows = [
        [name, gigabytes(found[key]["chunk_gb"]), gigabytes(found[key]["file_gb"]),
         f"{found[key]['write_mb']:.0f} MB", f"{found[key]['join_mb']:.0f} MB"]
        for key, name in OPTIONS.items()
    ]  # fmt: skip
    return table(["stored", "chunk files", "`attributions.h5`", "job", "aggregation"], rows)


#: Mark in the document: the record and what writes its table.
TABLES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "demo": ("demo", demo),
    "truth": ("demo", truth),
    "demo-words": ("demo", words),
    "yeast": ("yeast", yeast),
    "yeast-words": ("yeast", words),
    "yeast-folds": ("yeast-folds", yeast_folds),
    "splice-sites": ("spliceai", splice_sites),
    "yeast-variants": ("yeast_variants", yeast_variants),
    "gc-walk": ("evolution", gc_walk),
    "grammar": ("grammar", grammar),
    "long-inputs": ("long_inputs", long_inputs),
    "many-targets": ("many_targets", many_targets),
    "storage": ("storage", storage),
}


def records() -> dict[str, Any]:
    """Every record that a table is made of."""
    names = {name for name, _ in TABLES.values()}
    return {name: json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8")) for name in names}


def document(text: str, found: dict[str, Any]) -> str:
    """The document with its tables written anew."""
    for mark, (record, write) in TABLES.items():
        begin, end = f"<!-- {mark}: begin -->\n", f"\n<!-- {mark}: end -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        if not after:
            raise SystemExit(f"{DOCUMENT}: no marks {begin.strip()} and {end.strip()}")
        text = before + begin + write(found[record]) + end + after
    return text


def main() -> None:
    """Record runs, and write the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run", type=Path, action="append", default=[], help="results folder of demo, yeast or yeast-folds"
    )
    for results in parser.parse_args().run:
        record = record_run(results)
        text = json.dumps(record, indent=1, ensure_ascii=False)
        (RECORDS / f"{results.name}.json").write_text(text + "\n", encoding="utf-8")
    DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8"), records()), encoding="utf-8")


if __name__ == "__main__":
    main()
