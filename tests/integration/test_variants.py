"""Variants through the workflow: the planted motif's bases matter, and a rerun repeats only what it must."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest
import yaml
from small_project import configuration, write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run, planned

pytestmark = pytest.mark.workflow

#: What the small project's model looks for.
SITE = "GACTTCAG"
TABLE = "results/variants/mine/variants.tsv"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chromosome with ten sites, and a substitution of every base of the sites and beside them."""
    folder = write_project(tmp_path_factory.mktemp("variants"))
    rng = np.random.default_rng(3)
    bases = rng.choice(list("ACGT"), 5_000)
    sites = [300 + 400 * i for i in range(10)]
    for at in sites:
        bases[at : at + 8] = list(SITE)
    (folder / "genome.fa").write_text(f">chr1\n{''.join(bases)}\n")
    places = [at + shift for at in sites for shift in range(-16, 24)]
    rows = [f"1\t{at + 1}\tv{at}\t{bases[at]}\t{'CGTA'['ACGT'.index(bases[at])]}\t.\t.\t.\n" for at in places]
    rows += ["1\t2\tedge\tN\tA\t.\t.\t.\n", f"1\t101\tlong\t{bases[100]}\t<DEL>\t.\t.\t.\n"]
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (folder / "calls.vcf").write_text(header + "".join(rows))
    (folder / "aliases.tsv").write_text("alias\tname\n1\tchr1\n")
    config = configuration()
    config["genome"] = {"fasta": "genome.fa", "aliases": "aliases.tsv"}
    # Windows around all sites but the last two.
    (folder / "peaks.bed").write_text("".join(f"chr1\t{at - 30}\t{at + 38}\n" for at in sites[:8]))
    config["regions"] = {"mine": {"peaks": "peaks.bed"}}
    inside = [(at - 300) % 400 < 8 for at in places]
    listed = [
        f"1\t{at}\t{bases[at]}\t{'CGTA'['ACGT'.index(bases[at])]}\t{int(own)}\n"
        for at, own in zip(places, inside, strict=True)
    ]
    (folder / "measured.tsv").write_text("chrom\tstart\tref\talt\tmeasured\n" + "".join(listed))
    config["variants"] = {
        "mine": {"vcf": "calls.vcf", "analysis": "shap", "chunks": 2, "null": 200},
        "measured": {"table": "measured.tsv", "analysis": "shap", "null": 200, "quantiles": False,
                     "observed": "measured", "attribution_flank": 0,
                     "top": {"n": 5, "flank": 15}},
    }  # fmt: skip
    config["lexicon"] = None  # words are for tests/variants/test_attribute.py
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def scored(project: Path, snakemake: Run) -> Path:
    snakemake("--configfile", "config.yaml", "--", TABLE, folder=project)
    return project


def test_bases_of_sites_have_effects_and_every_allele_is_accounted_for(scored: Path) -> None:
    table = pd.read_csv(scored / TABLE, sep="\t")
    dropped = pd.read_csv(scored / "results/variants/mine/dropped_variants.tsv", sep="\t")
    assert len(table) == 400
    assert dict(zip(dropped["id"], dropped["reason"], strict=True)) == {
        "edge": "not_bases",
        "long": "symbolic_allele",
    }
    inside = (table["pos"] - 301) % 400 < 8
    effects = table["a.effect"].abs()
    assert effects[inside].min() > effects[~inside].median()
    assert (table["a.p"][inside] < 0.05).mean() > 0.9
    assert (table["a.p"][~inside] < 0.05).mean() < 0.1
    assert {"a.spread", "a.fold_1.effect", "a.quantile", "b.p"} <= set(table)
    with pysam.VariantFile(str(scored / "results/variants/mine/variants.vcf.gz")) as handle:
        found = [record.info["a_effect"] for record in handle.fetch("chr1", 300, 308)]
    np.testing.assert_allclose(found, table["a.effect"][table["pos"].between(301, 308)], rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"quantiles": False}, {"combine_variants": 1}),
        ({"anchor": "both"}, {"prepare_variants": 1, "score_variants": 4, "combine_variants": 1}),
    ],
    ids=["nothing", "quantiles", "anchor"],
)
def test_a_changed_setting_repeats_what_depends_on_it(
    scored: Path, snakemake: Run, change: dict[str, object], expected: dict[str, int]
) -> None:
    config = yaml.safe_load((scored / "config.yaml").read_text())
    config["variants"]["mine"].update(change)
    (scored / "changed.yaml").write_text(yaml.safe_dump(config))
    plan = planned(snakemake("--configfile", "changed.yaml", "--dry-run", "--", TABLE, folder=scored).stdout)
    plan.pop("total", None)
    assert dict(plan) == expected


def test_measured_variants_are_evaluated_and_the_strongest_attributed(project: Path, snakemake: Run) -> None:
    """Of the measured set bases of sites are positive; a known motif of the analysis is the baseline."""
    folder = "results/variants/measured"
    wanted = [f"{folder}/{name}.tsv" for name in ("evaluation", "top_variants")]
    snakemake("--configfile", "config.yaml", "--", *wanted, folder=project)
    table = pd.read_csv(project / folder / "evaluation.tsv", sep="\t").set_index(["target", "by"])
    assert table.loc[("a", "effect"), "positives"] == 80
    assert table.loc[("a", "effect"), "auroc"] > 0.9
    assert table.loc[("a", "known"), "auroc"] > 0.6
    assert table["n"].to_dict() == {
        (target, by): 320 if by == "attribution" else 400
        for target in "ab"
        for by in ("effect", "attribution", "known")
    }
    assert table.loc[("a", "attribution"), "auroc"] > 0.9
    top = pd.read_csv(project / folder / "top_variants.tsv", sep="\t")
    assert top["rank"].tolist() == [1, 2, 3, 4, 5] * 2
    scores = pd.read_csv(project / folder / "variants.tsv", sep="\t")
    order = np.lexsort((-scores["a.effect"].abs(), scores["a.q"]))[:5]
    assert top["pos"][top["target"] == "a"].tolist() == scores["pos"].iloc[order].tolist()
    assert (project / folder / "top_variants.h5").exists()
