"""The workflow trains from every source that the config can name, and scans the classifiers' windows."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyBigWig
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run, planned

pytestmark = pytest.mark.workflow

SITE = "TGACTCAGT"
MODELS = ("peaks", "signal", "labels", "arrays")
LENGTH = 60


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genome with a site every 300 bp, reads around every site, and sequences with and without it."""
    folder = tmp_path_factory.mktemp("training")
    rng = np.random.default_rng(0)
    signal = pyBigWig.open(str(folder / "reads.bw"), "w")
    lengths = {"c1": 20000, "c2": 6000, "c3": 6000}
    signal.addHeader(list(lengths.items()))
    peaks = []
    with open(folder / "genome.fa", "w") as fasta:
        for chrom, length in lengths.items():
            letters, reads = rng.choice(list("ACGT"), length), rng.poisson(0.2, length).astype(float)
            for centre in range(150, length - 100, 300):
                letters[centre - 4 : centre + 5] = list(SITE)
                reads[centre - 10 : centre + 10] += rng.poisson(rng.integers(1, 9), 20)
                peaks.append(f"{chrom}\t{centre}\t{centre + 1}\n")
            signal.addEntries(chrom, 0, values=reads, span=1, step=1)
            fasta.write(f">{chrom}\n{''.join(letters)}\n")
    signal.close()
    (folder / "peaks.bed").write_text("".join(peaks))
    for label, p in (("at", (0.4, 0.1, 0.1, 0.4)), ("gc", (0.1, 0.4, 0.4, 0.1))):
        (folder / label).mkdir()
        records = ("".join(rng.choice(list("ACGT"), 200, p=p)) for _ in range(12))
        (folder / label / "s.fa").write_text("".join(f">{label}{i}\n{s}\n" for i, s in enumerate(records)))
    codes = rng.integers(0, 4, (200, LENGTH))
    with h5py.File(folder / "arrays.h5", "w") as handle:
        handle["x_train"], handle["y_train"] = np.eye(4, dtype=np.int8)[codes], (codes == 2).mean(axis=1)
    rows = "".join(
        " ".join("0.97" if base == letter else "0.01" for base in "ACGT") + "\n" for letter in SITE
    )
    (folder / "known.meme").write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 AP1\n"
        f"letter-probability matrix: alength= 4 w= {len(SITE)} nsites= 20 E= 0\n{rows}\n"
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(config()))
    return folder


def config() -> dict:
    """One model for each source, small and quick."""
    chromosomes = {"validation_chromosomes": ["c2"], "test_chromosomes": ["c3"]}
    near = {"jitter": 2, "positive_distance": 5, "min_negative_distance": 60}
    quick = {
        "epochs": 3,
        "batch_size": 16,
        "hyperparameters": {"filters": 8, "kernel": 9, "second_kernel": 3},
    }
    shuffle = {"negatives": {"kind": "shuffle"}, "head": "softmax"}
    bpnet = {"architecture": "bpnet", "head": "profile", "hyperparameters": {"filters": 8, "layers": 2}}
    reads = {"peaks": "peaks.bed", "tracks": {"reads": {"bigwig": "reads.bw"}}, "output_length": 20}
    training = {
        "peaks": {"tasks": {"site": "peaks.bed"}, **shuffle, **chromosomes, **near, **quick},
        "signal": {"signal": reads, **chromosomes, **near, **quick, **bpnet},
        "labels": {"labels": {"at": "at", "gc": "gc"}, "class_weights": "balanced", **quick},
        "arrays": {"hdf5": {"path": "arrays.h5", "names": ["g"]}, "head": "regression", **quick},
    }
    loader = {"loader": "trained", "input_length": LENGTH, "folds": {"f": None}}
    target = {"t": {"kind": "log_counts"}}
    return {
        "results": "results",
        "genome": {"fasta": "genome.fa"},
        "regions": {"mine": {"peaks": "peaks.bed"}},
        "models": {name: {**loader, "training": training[name]} for name in MODELS},
        "analyses": {
            name: {"regions": "mine", "model": name, "targets": target, "motifs": {"database": "known.meme"}}
            for name in MODELS
        },
    }


def test_every_source_trains_and_classifiers_have_a_baseline(project: Path, snakemake: Run) -> None:
    plan = planned(snakemake("--configfile", "config.yaml", "--dry-run", folder=project).stdout)
    assert (plan["train_model"], plan["score_baseline"]) == (4, 2)
    wanted = [f"results/models/{name}/f.pt" for name in MODELS]
    wanted += [f"results/models/{name}/f.baseline.tsv" for name in ("peaks", "labels")]
    snakemake("--configfile", "config.yaml", "--", *wanted, folder=project)

    def table(model: str, name: str) -> pd.DataFrame:
        return pd.read_csv(project / "results" / "models" / model / f"f.{name}", sep="\t")

    assert table("peaks", "evaluation.tsv")["task"].tolist() == ["background", "site"] * 2
    assert set(table("peaks", "held_out.tsv.gz")["origin"]) == {"peak", "shuffle"}
    best = table("peaks", "baseline.tsv").set_index(["task", "split"]).loc[("site", "test")]
    assert (best["pwm_id"], best["pwm_name"]) == ("M1", "AP1")
    assert best["pwm_auroc"] > 0.95
    labels = table("labels", "evaluation.tsv")
    assert labels["task"].tolist() == ["at", "gc"] * 2
    assert (labels["auroc"] > 0.95).all()
    assert {"pearson", "profile_jsd", "profile_jsd_flat"} <= set(table("signal", "evaluation.tsv"))
    assert table("arrays", "evaluation.tsv")["task"].tolist() == ["g", "g"]
