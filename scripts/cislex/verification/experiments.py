"""What files of variants, in-silico experiments, contrasts, designs and trained models promise to share."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from cislex.errors import offenders
from cislex.files.tables import open_hdf5
from cislex.verification.findings import FileReport, Results
from cislex.verification.tables import column

_ALLELE = ["chrom", "ref", "alt"]


def compare_alleles(results: Results, report: FileReport, *, variants: str) -> None:
    """No line of the source may be both scored and dropped with the same allele."""
    other = f"variants/{variants}/dropped_variants.tsv"

    def fault() -> str | None:
        both = [column(results.path(name), "source_line", "alt") for name in (report.path, other)]
        there = pd.concat([table.drop_duplicates() for table in both])
        twice = there[there.duplicated()]["source_line"]
        return f"lines {offenders(twice)} are in {other}, too" if len(twice) else None

    results.compare(report, "dropped_variants.tsv", [other], fault)


def compare_variants(results: Results, report: FileReport, *, variants: str) -> None:
    """Hold ``variants.tsv`` against the alleles and the VCF."""
    folder = f"variants/{variants}"
    alleles, vcf = f"{folder}/alleles.tsv", f"{folder}/variants.vcf.gz"

    def same() -> str | None:
        own, other = (column(results.path(name), *_ALLELE) for name in (report.path, alleles))
        return None if own.equals(other) else f"its alleles are not those of {alleles}"

    def counted() -> str | None:
        own, other = report.facts["n"], results.facts(vcf).get("n")
        return None if own == other else f"has {own} alleles, {vcf} has {other}"

    results.compare(report, "alleles.tsv", [alleles], same)
    results.compare(report, "variants.vcf.gz", [vcf], counted)


def compare_top(results: Results, report: FileReport, *, variants: str) -> None:
    """Rows of ``top_variants.h5`` are rows of ``variants.tsv``."""
    other = f"variants/{variants}/variants.tsv"

    def fault() -> str | None:
        count = int(results.facts(other)["n"])
        with open_hdf5(results.path(report.path), what="variants") as handle:
            for target in handle["targets"]:
                rows = handle[f"targets/{target}/rows"][:]
                if len(rows) and (rows.min() < 0 or rows.max() >= count):
                    return f"{target}: has row {rows.max()}, {other} has {count}"
        return None

    results.compare(report, "variants.tsv", [other], fault)


def compare_inserted(results: Results, report: FileReport, *, insertion: str, **_: str) -> None:
    """A chunk is of the plan that is there."""
    plan = f"insertions/{insertion}/plan.h5"

    def fault() -> str | None:
        equal = report.facts["attributes"].get("plan") == results.facts(plan)["digest_of_plan"]
        return None if equal else f"was made for another plan than {plan}"

    results.compare(report, "plan.h5", [plan], fault)


def compare_plan(results: Results, report: FileReport, *, insertion: str) -> None:
    """The plan agrees with its own digest and with ``inserts.tsv``."""
    from cislex.insertions.plan_files import read_plan  # imports torch, which few results need

    other = f"insertions/{insertion}/inserts.tsv"

    def fault() -> str | None:
        plan = read_plan(results.path(report.path))
        if plan.digest() != report.facts["digest_of_plan"]:
            return "its content differs from its digest"
        own = [insert.identifier for insert in plan.inserts]
        return (
            None
            if own == column(results.path(other), "word")["word"].tolist()
            else f"its words are not those of {other}"
        )

    results.compare(report, "digest, inserts.tsv", [other], fault)


def compare_insertions(results: Results, report: FileReport, *, insertion: str) -> None:
    """Words of the effects are those that were inserted."""
    other = f"insertions/{insertion}/inserts.tsv"

    def fault() -> str | None:
        table = column(results.path(report.path), "word_a", "word_b")
        known = {*column(results.path(other), "word")["word"], ""}
        strange = set(pd.unique(table.to_numpy().ravel())) - known
        return f"words that {other} lacks: {offenders(sorted(strange))}" if strange else None

    results.compare(report, "inserts.tsv", [other], fault)


def compare_sites(results: Results, report: FileReport, *, insertion: str) -> None:
    """There is a row for each site of the plan."""
    plan = f"insertions/{insertion}/plan.h5"

    def fault() -> str | None:
        own, other = report.facts["n"], results.facts(plan)["sites"]
        return None if own == other else f"has {own} sites, {plan} has {other}"

    results.compare(report, "plan.h5", [plan], fault)


def compare_contrast(results: Results, report: FileReport, *, contrast: str) -> None:
    """Hits of the words of a contrast add up to its hits."""
    other = f"contrasts/{contrast}/hits.tsv.gz"

    def fault() -> str | None:
        own = int(pd.to_numeric(column(results.path(report.path), "hits")["hits"]).sum())
        there = results.facts(other)["n"]
        return None if own == there else f"hits of words add up to {own}, {other} has {there}"

    results.compare(report, "hits.tsv.gz", [other], fault)


def compare_trajectories(results: Results, report: FileReport, *, evolution: str) -> None:
    """The sequences of a design are those of its FASTA file and its arrays."""
    folder = f"evolution/{evolution}"
    fasta, arrays = f"{folder}/evolved.fa", f"{folder}/evolution.h5"

    def named() -> str | None:
        own = column(results.path(report.path), "sequence")["sequence"].drop_duplicates().tolist()
        there = results.facts(fasta).get("names", [])
        return None if own == there else f"its sequences are not those of {fasta}"

    def rounds() -> str | None:
        table = column(results.path(report.path), "sequence", "round").astype({"round": int})
        last = table.groupby("sequence", sort=False)["round"].max().to_numpy()
        with open_hdf5(results.path(arrays), what="evolution") as handle:
            told = handle["rounds"][:, -1]
        return None if np.array_equal(last, told) else f"last rounds differ from {arrays}"

    results.compare(report, "evolved.fa", [fasta], named)
    results.compare(report, "evolution.h5", [arrays], rounds)


def compare_training(results: Results, report: FileReport, **_: str) -> None:
    """One epoch was kept, and epochs count from 1."""
    table = column(results.path(report.path), "epoch", "kept")
    fits = table["epoch"].astype(int).tolist() == list(range(1, len(table) + 1))
    report.require("epochs", fits, "epochs do not count from 1")
    kept = (table["kept"] == "1").sum()
    report.require("epochs", kept == 1, f"{kept} epochs were kept, expected one")


def compare_training_scores(results: Results, report: FileReport, *, model: str, fold: str) -> None:
    """Scores are over as many windows as were predicted."""
    other = f"models/{model}/{fold}.held_out.tsv.gz"

    def fault() -> str | None:
        there = column(results.path(other), "split")["split"].value_counts()
        table = column(results.path(report.path), "split", "n").drop_duplicates().astype({"n": int})
        pairs = zip(table["split"], table["n"], strict=True)
        wrong = [split for split, n in pairs if n != int(there.get(split, 0))]
        return f"n differs from the rows of {other} in {offenders(wrong)}" if wrong else None

    results.compare(report, other.rpartition("/")[2], [other], fault)


def compare_inspected(results: Results, report: FileReport, *, analysis: str) -> None:
    """Every fold of the analysis has a digest."""
    known = results.settings.get(analysis)
    if known is not None:
        lost = [fold for fold in known["folds"] if fold not in report.facts["value"]]
        report.require("folds", not lost, f"lacks {json.dumps(lost)}")
