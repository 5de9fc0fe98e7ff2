"""The motif baseline: a scan equals its definition, and the planted motif is chosen and scored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cislex.errors import InputError
from cislex.metrics import evaluate
from cislex.motifs.baseline import COLUMNS, log_odds, scan, score_baseline
from cislex.motifs.files import MemeMotif, write_meme
from cislex.training.held_out import write_held_out

ROOT = Path(__file__).resolve().parents[2]
COMPLEMENT = np.array([3, 2, 1, 0, 4])


def motif(identifier: str, consensus: str, sites: int = 100) -> MemeMotif:
    ppm = np.full((4, len(consensus)), 0.02)
    ppm[["ACGT".index(base) for base in consensus], range(len(consensus))] = 0.94
    return MemeMotif(identifier, identifier.lower(), ppm, sites)


def direct_scan(codes: np.ndarray, matrix: np.ndarray) -> float:
    """Highest sum over places and strands, base by base; an unknown base adds nothing."""
    width, padded = matrix.shape[1], np.vstack([matrix, np.zeros(matrix.shape[1])])
    return max(
        sum(padded[strand[start + i], i] for i in range(width))
        for strand in (codes, COMPLEMENT[codes[::-1]])
        for start in range(len(codes) - width + 1)
    )


def test_a_scan_equals_its_definition_on_both_strands() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, (7, 20)).astype(np.uint8)
    matrices = [rng.normal(size=(4, width)).astype(np.float32) for width in (3, 6, 3, 20)]
    expected = [[direct_scan(row, matrix) for matrix in matrices] for row in codes]
    np.testing.assert_allclose(scan(codes, matrices), expected, rtol=1e-5)


def test_log_odds_are_zero_for_the_background_and_bounded_by_the_pseudocount() -> None:
    background = np.array([0.3, 0.2, 0.2, 0.3])
    flat = MemeMotif("M", "m", np.repeat(background[:, None], 4, axis=1), 10)
    np.testing.assert_allclose(log_odds(flat, background), 0, atol=1e-6)
    sure = MemeMotif("M", "m", np.eye(4), 19)
    np.testing.assert_allclose(log_odds(sure, background)[0, 1], np.log2(1 / 20), rtol=1e-5)


def test_the_same_site_scores_the_same_on_either_strand_so_that_ties_stay_ties() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 4, (400, 60)).astype(np.uint8)
    ppms = [rng.dirichlet(np.full(4, 0.3), width).T for width in (9, 16, 24)]
    matrices = [log_odds(MemeMotif("M", "m", ppm, 500), np.array([0.31, 0.19, 0.2, 0.3])) for ppm in ppms]
    turned = COMPLEMENT[codes[:, ::-1]].astype(np.uint8)
    np.testing.assert_array_equal(scan(codes, matrices), scan(turned, matrices))
    exact = [[direct_scan(row, matrix.astype(np.float64)) for matrix in matrices] for row in codes[:5]]
    np.testing.assert_array_equal(scan(codes[:5], matrices), exact)


@pytest.fixture
def held_out(tmp_path: Path) -> Path:
    """Windows in which one of two motifs is planted, most of them; the third motif is nowhere."""
    rng = np.random.default_rng(1)
    sites = {"a": "TGACTCAGT", "b": "GGGATTTCC"}
    rows = []
    for i in range(240):
        letters = rng.choice(list("ACGT"), 60)
        labels = {task: int(i % 3 == k) for k, task in enumerate(sites)}
        for task, site in sites.items():
            if labels[task] and rng.random() < 0.9:
                at = rng.integers(0, 50)
                letters[at : at + 9] = list(site)
        observed = {
            f"{task}.{kind}": label for task, label in labels.items() for kind in ("observed", "predicted")
        }
        rows.append({"split": "validation" if i < 120 else "test", "chrom": "c", "start": i, "end": i + 60,
                     "origin": "peak", **observed, "sequence": "".join(letters)})  # fmt: skip
    write_held_out(pd.DataFrame(rows), tmp_path / "held_out.tsv.gz")
    names = {"MA1": "TGACTCAGT", "MA2": "GGAAATCCC", "MA3": "ACGTACGTACG"}
    motifs = [motif(name, site) for name, site in names.items()]
    write_meme(motifs[:1], tmp_path / "known.meme")
    write_meme(motifs[1:], tmp_path / "more.meme")
    return tmp_path


def test_each_task_gets_its_motif_and_the_scores_are_those_of_the_scan(held_out: Path) -> None:
    databases = [held_out / "known.meme", held_out / "more.meme"]
    table = score_baseline(held_out / "held_out.tsv.gz", databases, held_out / "b.tsv", n_bootstrap=20)
    assert list(table.columns) == COLUMNS
    assert table[["task", "split", "pwm_id"]].values.tolist() == [
        ["a", "validation", "MA1"], ["b", "validation", "MA2"], ["a", "test", "MA1"], ["b", "test", "MA2"],
    ]  # fmt: skip
    assert (table["pwm_auprc"] > 0.85).all()
    assert (table["pwm_auprc_low"] <= table["pwm_auprc"]).all()
    rows = pd.read_csv(held_out / "held_out.tsv.gz", sep="\t").query("split == 'test'")
    codes = np.array(
        [["ACGT".index(base) for base in sequence] for sequence in rows["sequence"]], dtype=np.uint8
    )
    everything = pd.read_csv(held_out / "held_out.tsv.gz", sep="\t")["sequence"].str.cat()
    background = np.array([everything.count(base) + 1 for base in "ACGT"]) / (len(everything) + 4)
    scores = scan(codes, [log_odds(motif("MA1", "TGACTCAGT"), background)])
    expected = evaluate(rows[["a.observed"]].to_numpy(np.uint8), scores, tasks=["a"], split="test")
    # The model of the fixture predicts its labels.
    assert table["auprc_gain"].tolist() == pytest.approx((1 - table["pwm_auprc"]).tolist(), abs=1e-6)
    assert (table["auprc_gain_low"] >= 0).all()
    assert table.loc[2, "pwm_auroc"] == pytest.approx(expected.loc[0, "auroc"], abs=1e-6)
    written = pd.read_csv(held_out / "b.tsv", sep="\t")
    assert written["pwm_name"].tolist() == ["ma1", "ma2", "ma1", "ma2"]


def test_what_has_no_motif_baseline_is_named(held_out: Path) -> None:
    table = pd.read_csv(held_out / "held_out.tsv.gz", sep="\t")
    write_held_out(table.assign(**{"a.observed": 1.5}), held_out / "numbers.tsv.gz")
    with pytest.raises(InputError, match="not 0 or 1"):
        score_baseline(held_out / "numbers.tsv.gz", [held_out / "known.meme"], held_out / "b.tsv")
    write_meme([motif("LONG", "ACGT" * 20)], held_out / "long.meme")
    with pytest.raises(InputError, match="no motif fits into windows of 60 bp"):
        score_baseline(held_out / "held_out.tsv.gz", [held_out / "long.meme"], held_out / "b.tsv")
    assert not (held_out / "b.tsv").exists()


def test_the_script_runs_from_a_rules_job(held_out: Path) -> None:
    code = f"""
import runpy
from types import SimpleNamespace
out = {str(held_out)!r} + "/"
job = SimpleNamespace(
    scriptdir={str(ROOT / "scripts")!r}, log=[out + "log.txt"], threads=1, params=SimpleNamespace(seed=3),
    input=SimpleNamespace(held_out=out + "held_out.tsv.gz", databases=[out + "known.meme"]),
    output=SimpleNamespace(baseline=out + "script.tsv"),
)
runpy.run_path({str(ROOT / "scripts" / "score_baseline.py")!r}, init_globals={{"snakemake": job}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    log = held_out / "log.txt"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    assert len((held_out / "script.tsv").read_text().splitlines()) == 5
