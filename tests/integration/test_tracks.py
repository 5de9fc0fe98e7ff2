"""The workflow with a model of tracks: names from a table, a target for each, and exons of each region."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from cislex.models.loading import load_model

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run, planned

pytestmark = pytest.mark.workflow

LENGTH, WIDTH, CROP = 96, 8, 8
MODEL = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv1d(4, 8, 7, padding=3), nn.Conv1d(8, 4, 1)

    def forward(self, x):
        hidden = nn.functional.avg_pool1d(self.conv(x).relu(), 8)
        return nn.functional.softplus(self.out(hidden))[:, :, 1:-1].transpose(1, 2)


def build():
    return Net()
"""
TABLE = "\tidentifier\tstrand_pair\tdescription\n" + "".join(
    f"{i}\tENC{i}\t{pair}\t{text}\n"
    for i, pair, text in ((0, 0, "DNASE:a"), (1, 1, "DNASE:b"), (2, 3, "RNA:a"), (3, 2, "RNA:a"))
)


def configuration() -> dict[str, Any]:
    exons = {
        "kind": "tracks",
        "tracks": ["RNA:*"],
        "axis": 1,
        "intervals": {"bed": "exons.bed", "match": "name"},
    }
    analysis = {
        "regions": "genes", "model": "net", "motifs": None, "seqlets": None, "reverse_complement": True,
        "method": {"references": {"n": 3}},
        "targets": {
            "exons": {"kind": "log", "of": exons, "pseudocount": 1},
            "centre": {"kind": "tracks", "tracks": ["DNASE:*"], "axis": 1, "window": [-8, 8], "each": True},
        },
    }  # fmt: skip
    net = {"loader": "factory", "module": "model.py:build", "input_length": LENGTH, "folds": {"a": "a.pt"},
           "tracks": "tracks.txt", "bins": {"width": WIDTH, "crop": CROP}}  # fmt: skip
    return {
        "results": "results", "genome": {"fasta": "genome.fa"}, "lexicon": None,
        "regions": {"genes": {"peaks": "genes.bed", "chunks": 2}}, "models": {"net": net},
        "analyses": {"x": analysis},
    }  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six genes of 100 bp on either strand, with two exons each."""
    folder = tmp_path_factory.mktemp("tracks")
    letters = "".join("ACGT"[i] for i in np.random.default_rng(0).integers(0, 4, 2000))
    (folder / "genome.fa").write_text(f">c1\n{letters}\n")
    centres = [200 + 300 * i for i in range(6)]
    rows = [f"c1\t{c - 1}\t{c + 1}\tg{i}\t0\t{'+-'[i % 2]}\n" for i, c in enumerate(centres)]
    (folder / "genes.bed").write_text("".join(rows))
    exons = [
        f"c1\t{c - 30}\t{c - 20 + 2 * i}\tg{i}\nc1\t{c + 5}\t{c + 9}\tg{i}\n" for i, c in enumerate(centres)
    ]
    (folder / "exons.bed").write_text("".join(exons))
    (folder / "tracks.txt").write_text(TABLE)
    (folder / "model.py").write_text(MODEL)
    torch.manual_seed(0)
    scope: dict[str, Any] = {}
    exec(MODEL, scope)
    torch.save(scope["build"]().state_dict(), folder / "a.pt")
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration()))
    return folder


NAMES = ["exons", "centre.ENC0", "centre.ENC1"]
WANTED = [f"results/x/{name}/attributions.h5" for name in NAMES]
OPTIONS = ["results/x/predictions.tsv", *WANTED, "--configfile", "config.yaml"]


def by_hand(folder: Path) -> dict[str, np.ndarray]:
    """Predictions, base by base and strand by strand."""
    model = load_model("factory", weights=folder / "a.pt", module=f"{folder / 'model.py'}:build").model
    with h5py.File(folder / "results" / "regions" / "genes" / "sequences.h5") as handle:
        x = torch.from_numpy(handle["sequences"][...]).float()
    regions = pd.read_csv(folder / "results" / "x" / "predictions.tsv", sep="\t")
    exons = pd.read_csv(folder / "exons.bed", sep="\t", names=["chrom", "start", "end", "name"])
    weights = np.zeros((len(x), 10))
    for i, region in enumerate(regions.itertuples()):
        covered = np.zeros(LENGTH)
        for exon in exons[exons.name == region.name].itertuples():
            covered[exon.start - region.start : exon.end - region.start] = 1
        covered = covered[::-1] if region.strand == "-" else covered
        weights[i] = covered[CROP:-CROP].reshape(10, WIDTH).max(1)
    with torch.no_grad():
        given, other = model(x).numpy(), model(x.flip(1, 2)).numpy()[:, ::-1]
    rna = [(weights * strand.mean(2)).sum(1) for strand in (given[..., [2, 3]], other[..., [3, 2]])]
    found = {"exons": np.mean([np.log(values + 1) for values in rna], axis=0)}
    for track in (0, 1):
        both = [strand[:, 4:6, track].sum(1) for strand in (given, other)]
        found[f"centre.ENC{track}"] = np.mean(both, axis=0)
    return found


def test_targets_by_name_and_exons_go_through_the_workflow(project: Path, snakemake: Run) -> None:
    snakemake(*OPTIONS, folder=project)
    expected = by_hand(project)
    predicted = pd.read_csv(project / "results" / "x" / "predictions.tsv", sep="\t")
    assert set(predicted.columns[5:]) == set(NAMES)
    for name in NAMES:
        np.testing.assert_allclose(predicted[name], expected[name], rtol=1e-5)
        with h5py.File(project / "results" / "x" / name / "attributions.h5") as handle:
            np.testing.assert_allclose(handle["prediction"], expected[name], rtol=1e-5)
            assert handle["max_relative_delta"][...].max() < 1e-4
    (project / "tracks.txt").write_text(TABLE.replace("DNASE:a", "DNASE:c"))
    assert not planned(snakemake(*OPTIONS, "--dry-run", folder=project).stdout), "the numbers are the same"
    bed = project / "exons.bed"
    rows = bed.read_text()
    bed.write_text(rows.replace("c1\t205\t209\tg0", "c1\t210\t220\tg0"))
    plan = planned(snakemake(*OPTIONS, "--dry-run", folder=project).stdout)
    assert plan["attribute_chunk"] == 2
    assert plan["predict_regions"] == plan["inspect_model"] == 1
    snakemake("results/x/predictions.tsv", *OPTIONS[-2:], folder=project)
    again = pd.read_csv(project / "results" / "x" / "predictions.tsv", sep="\t")
    np.testing.assert_allclose(again["exons"], by_hand(project)["exons"], rtol=1e-5)
    assert abs(again["exons"][0] - predicted["exons"][0]) > 1e-3
    bed.write_text("".join(line for line in rows.splitlines(keepends=True) if not line.endswith("g3\n")))
    failed = snakemake(*OPTIONS, "--keep-going", folder=project, check=False)
    assert failed.returncode
    assert "1 of 6 regions without an interval in what the bins cover: g3 c1:" in failed.stdout
    assert "Attribution: x" not in failed.stdout, "no chunk begins"
    bed.write_text(rows)
