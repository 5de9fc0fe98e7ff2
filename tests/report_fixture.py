"""A complete results folder with made-up content, for the tests of the report."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from cislex.files.tables import write_regions, write_table
from cislex.motifs.logos import write_logo
from cislex.provenance import to_attributes
from cislex.report import AnalysisTarget, RegionSet, TrainedModel

HOSTILE = "<script>alert('x')</script>"
SITE = "TTACCCGG"
LENGTH = 200


def one_hot(letters: str) -> np.ndarray:
    """Return (4, L) uint8."""
    return np.array([[base == letter for letter in letters] for base in "ACGT"], dtype=np.uint8)


def make_regions(n: int, *, coordinates: bool = True) -> pd.DataFrame:
    """Return ``n`` windows on both strands; the third is named to attack the page."""
    starts = np.arange(n) * 1000 + 500
    return pd.DataFrame(
        {
            "chrom": "chrIV" if coordinates else "",
            "start": starts if coordinates else 0,
            "end": (starts if coordinates else 0) + LENGTH,
            "name": [HOSTILE if i == 2 else f"peak_{i}" for i in range(n)],
            "strand": np.where(np.arange(n) % 2, "-", "+") if coordinates else ".",
        }
    )


def write_attributions(path: Path, regions: pd.DataFrame, *, deltas: bool, seed: int = 0) -> np.ndarray:
    """Write an attributions file whose contributions sit on a planted site at 96; return the deltas."""
    rng = np.random.default_rng(seed)
    n = len(regions)
    codes = rng.integers(0, 4, (n, LENGTH))
    codes[:, 96 : 96 + len(SITE)] = ["ACGT".index(base) for base in SITE]
    sequences = (codes[:, None, :] == np.arange(4)[:, None]).astype(np.uint8)
    hypothetical = rng.normal(0, 0.01, (n, 4, LENGTH)).astype(np.float32)
    hypothetical[:, :, 96 : 96 + len(SITE)] += 0.5 * one_hot(SITE) - 0.2
    hypothetical[:, :, 120:126] -= 0.1 * sequences[:, :, 120:126]
    relative = 10 ** rng.normal(-6, 0.4, n)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as handle:
        handle["sequences"], handle["hypothetical"] = sequences, hypothetical
        handle["prediction"] = np.linspace(-1, 5, n).astype(np.float32)
        if deltas:
            relative[[3, 7]] = 0.02, 0.005
            handle["max_relative_delta"] = relative.astype(np.float32)
        write_regions(handle, regions)
        handle.attrs.update(
            to_attributes(
                {
                    "target": path.parent.name,
                    "method": {
                        "name": "deep_lift_shap",
                        "rule": "rescale",
                        "references": {"kind": "dinucleotide_shuffle", "n": 20, "seed": 0},
                    },
                    "precision": "float32",
                    "seed": 0,
                    "model_digests": {"fold_0": "b4b147bc522828731f1a016bfa72c073"},
                    "versions": {"cislex": "0.1.0", "torch": "2.13.0"},
                    "notes": ["max pooling: 1 call integrated along the path"] if not deltas else [],
                }
            )
        )
    return relative


def write_qc(path: Path, regions: pd.DataFrame, relative: np.ndarray, *, deltas: bool) -> None:
    """Write ``qc.tsv``."""
    table = regions.assign(
        row=np.arange(len(regions)),
        prediction=0.0,
        reference_prediction=0.0,
        max_relative_delta=relative if deltas else np.nan,
    )
    table["status"] = np.where((relative > 1e-3) & deltas, "dropped", "pass")
    write_table(table, path)


def write_motifs(folder: Path, rows: list[dict[str, object]]) -> None:
    """Write ``motifs.tsv`` and the logos it names."""
    columns = ["motif", "sign", "n_seqlets", "width", "consensus", "information", "flagged"]
    columns += [f"match_{rank}{key}" for rank in (1, 2, 3) for key in ("", "_name", "_p", "_q")]
    columns += ["subpatterns", "logo", "match_logo"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["logo"] = [f"{name}.svg" for name in frame["motif"]]
    frame["match_logo"] = [f"{name}.match.svg" for name in frame["motif"]]
    write_table(frame, folder / "motifs.tsv")
    (folder / "logos").mkdir(parents=True, exist_ok=True)
    for _, row in frame.iterrows():
        letters = str(row["consensus"]).upper().replace("N", "A")
        heights = one_hot(letters) * (0.3 if row["sign"] == "+" else -0.1)
        for ending, drawn in (
            ("", heights),
            (".rc", heights[::-1, ::-1]),
            (".match", 1.8 * one_hot(letters)),
        ):
            write_logo(drawn, folder / "logos" / f"{row['motif']}{ending}.svg", title=str(row["motif"]))


def motif(name: str, sign: str, seqlets: int, consensus: str, **other: object) -> dict[str, object]:
    """Return one row of ``motifs.tsv``."""
    row: dict[str, object] = {"motif": name, "sign": sign, "n_seqlets": seqlets, "width": len(consensus)}
    return {**row, "consensus": consensus, "information": 1.93, "flagged": "", "subpatterns": 2, **other}


REB1 = {
    "match_1": "MA0363.3", "match_1_name": "REB1", "match_1_p": 2.1e-15, "match_1_q": 4e-13,
    "match_2": "MA0364.1", "match_2_name": "REI1", "match_2_p": 2e-4, "match_2_q": 0.02,
    "match_3": "MA0431.2", "match_3_name": HOSTILE, "match_3_p": 0.003, "match_3_q": 0.21,
}  # fmt: skip


def write_full_target(folder: Path, regions: pd.DataFrame) -> None:
    """Write a target with motifs of both signs, flagged patterns, hits and truth."""
    write_qc(
        folder / "qc.tsv",
        regions,
        write_attributions(folder / "attributions.h5", regions, deltas=True),
        deltas=True,
    )
    flagged = [
        motif(f"pos_{i}", "+", 40 - i, "NANNTNNNNNCNN" * 3, flagged="low information", information=0.2)
        for i in range(2, 22)
    ]
    write_motifs(
        folder,
        [
            motif("pos_0", "+", 1034, "TTACCCGG", **REB1),
            motif("neg_0", "-", 131, "ATCACTNNNNACGA"),
            *flagged,
            motif(HOSTILE.replace("/", ""), "+", 20, "ACGT", flagged="<img src=x onerror=alert(1)>"),
        ],
    )
    lines = [
        "#chrom\tstart\tend\tmotif\tscore\tstrand\thit_coefficient\thit_similarity\tcontribution\tregion"
    ]
    for i, row in regions.iterrows():
        start = row["start"] + (96 if row["strand"] == "+" else LENGTH - 96 - len(SITE))
        lines.append(f"chrIV\t{start}\t{start + len(SITE)}\tpos_0\t900\t{row['strand']}\t2.1\t0.93\t1.4\t{i}")
    lines.append("chrIV\t530\t540\tneg_0\t700\t-\t1.1\t0.81\t-0.4\t0")
    with gzip.open(folder / "hits.bed.gz", "wt") as handle:
        handle.write("\n".join(lines) + "\n")
    truth = pd.DataFrame(
        [
            [
                "MA9999.1",
                "DECOY1",
                ".",
                False,
                "",
                "",
                np.nan,
                np.nan,
                np.nan,
                200,
                40,
                0,
                "",
                np.nan,
                np.nan,
            ],
            [
                "MA0363.3",
                "REB1",
                "reb1",
                True,
                "pos_0",
                "pos_1",
                1e-15,
                1e-13,
                0.98,
                400,
                380,
                350,
                401,
                0.95,
                0.91,
            ],
            [
                "MA0265.3",
                "ABF1",
                "abf1",
                False,
                "",
                "",
                np.nan,
                np.nan,
                np.nan,
                400,
                3,
                0,
                "",
                np.nan,
                np.nan,
            ],
        ],
        columns=[
            *(
                "motif",
                "name",
                "assay",
                "functional",
                "recovered_as",
                "variants",
                "p",
                "q",
                "pearson",
                "n_planted",
            ),
            *("n_planted_in_regions", "n_functional_in_regions", "hits", "hits_precision", "hits_recall"),
        ],
    )
    write_table(truth, folder / "truth.tsv")


def write_results(root: Path) -> dict[str, object]:
    """Write the whole folder; return the arguments of ``render_report`` but for the page and template.

    Three targets: a full one; one without motifs, hits and deltas; one without coordinates.
    """
    regions, direct = make_regions(300), make_regions(30, coordinates=False)
    shared = root / "regions" / "peaks"
    shared.mkdir(parents=True)
    bed = regions.assign(score=0, source_line=range(1, 301)).rename(columns={"chrom": "#chrom"})
    write_table(bed, shared / "regions.bed")
    lost = {"source_line": [301, 302, 303], "chrom": "chrM", "start": 5, "end": 10}
    lost |= {"reason": ["excluded chromosome", HOSTILE, "excluded chromosome"], "detail": "chrM"}
    write_table(pd.DataFrame(lost), shared / "dropped.tsv")
    trained = root / "models" / "yeast"
    epochs = np.arange(1, 31)
    curve = {"epoch": epochs, "train_loss": 0.6 / epochs**0.5, "validation_loss": 0.55 / epochs**0.4}
    write_table(pd.DataFrame({**curve, "learning_rate": 0.005}), trained / "fold_0.training.tsv")
    scores = {"task": ["reb1", "abf1"], "split": "test", "n": 640, "positives": [210, 180]}
    scores |= {"auroc": [0.91, 0.92], "auroc_low": 0.88, "auroc_high": 0.94}
    scores |= {"auprc": [0.79, 0.85], "auprc_low": 0.74, "auprc_high": np.nan}
    write_table(pd.DataFrame(scores), trained / "fold_0.evaluation.tsv")
    known = {"task": ["reb1", "abf1"], "split": "test", "pwm_id": ["MA0363.3", "MA0265.3"]}
    known |= {"pwm_name": ["REB1", "ABF1"], "pwm_auroc": [0.88, 0.9], "pwm_auprc": [0.81, 0.8]}
    write_table(pd.DataFrame(known), trained / "fold_0.baseline.tsv")
    write_table(held_out_windows(), trained / "fold_0.held_out.tsv.gz")
    write_full_target(root / "peaks_yeast" / "reb1", regions)
    empty = root / "peaks_yeast" / "rap1"
    write_qc(
        empty / "qc.tsv",
        regions,
        write_attributions(empty / "attributions.h5", regions, deltas=False, seed=1),
        deltas=False,
    )
    write_motifs(empty, [])
    plain = root / "mine" / "abf1"
    write_attributions(plain / "attributions.h5", direct, deltas=True, seed=2)
    write_motifs(plain, [motif("pos_0", "+", 88, "ATCACTNNNNACGA")])
    return {
        "results": "results/test",
        "analyses": analyses(root),
        "regions": [
            RegionSet(name="peaks", regions=shared / "regions.bed", dropped=shared / "dropped.tsv"),
            RegionSet(name="mine", sequences=plain / "attributions.h5", direct=True),
        ],
        "models": [
            TrainedModel(
                name="yeast",
                fold="fold_0",
                training=trained / "fold_0.training.tsv",
                evaluation=trained / "fold_0.evaluation.tsv",
                held_out=trained / "fold_0.held_out.tsv.gz",
                baseline=trained / "fold_0.baseline.tsv",
            )
        ],
        "settings": {"genome": "sacCer3.fa", "seed": 0, "blacklist": None},
    }


def held_out_windows() -> pd.DataFrame:
    """Labels and logits of 60 windows of two tasks."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"split": ["validation", "test"] * 30, "chrom": "chrIV", "sequence": "ACGT"})
    for task in ("reb1", "abf1"):
        labels = rng.permutation(np.arange(60) % 2)
        table[f"{task}.observed"], table[f"{task}.predicted"] = labels, labels + rng.normal(size=60)
    return table


def analyses(root: Path) -> list[AnalysisTarget]:
    """Return the three targets of the folder."""
    full, empty, plain = root / "peaks_yeast/reb1", root / "peaks_yeast/rap1", root / "mine/abf1"
    method = {"method": {"name": "deep_lift_shap", "references": {"n": 20, "seed": 0}}, "hits": None}
    return [
        AnalysisTarget(
            analysis="peaks_yeast", target="reb1", region_set="peaks", model="yeast", limit=1e-3,
            attributions=full / "attributions.h5", motifs=full / "motifs.tsv", logos=full / "logos",
            qc=full / "qc.tsv", hits=full / "hits.bed.gz", truth=full / "truth.tsv", settings=method,
        ),
        AnalysisTarget(
            analysis="peaks_yeast", target="rap1", region_set="peaks", model="yeast", limit=1e-3,
            attributions=empty / "attributions.h5", motifs=empty / "motifs.tsv", logos=empty / "logos",
            qc=empty / "qc.tsv",
        ),
        AnalysisTarget(
            analysis="mine", target="abf1", region_set="mine", model="yeast",
            attributions=plain / "attributions.h5", motifs=plain / "motifs.tsv", logos=plain / "logos",
        ),
    ]  # fmt: skip
