"""Expected use of the jobs from motifs to syntax, and of the report."""

from __future__ import annotations

from collections.abc import Mapping

from cislex_workflow.expected_use.attributions import rows_of
from cislex_workflow.expected_use.work import Use, Work


def find_motifs(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = rows_of(work, wildcards)
    settings = work.config["analyses"][wildcards["analysis"]]["motifs"]
    width = min(length, settings["window"] or length)
    bases = rows * width
    seqlets = min(2 * settings["max_seqlets"], bases / 10)
    # Contributions of all regions are held; of those with seqlets in use, some one of each sign in 2 kb at
    # least, both arrays and their product, which processes share, but are counted for each of them.
    used = min(rows, settings["max_seqlets"] * max(1, 2000 / width)) * width
    return Use(900 + 4e-6 * bases + 96e-6 * used + 0.04 * seqlets, 90 + 0.012 * seqlets + bases / 1e6)


def annotate_motifs(work: Work, wildcards: Mapping[str, str]) -> Use:
    # Once on every machine, 60 s of compiling.
    return Use(400, 120)


def call_hits(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = rows_of(work, wildcards)
    analysis = work.config["analyses"][wildcards["analysis"]]
    width = min(
        length,
        (analysis.get("hits") or {}).get("window") or (analysis["motifs"] or {}).get("window") or length,
    )
    # Blocks of 256 MB, of which Fi-NeMo makes some copies, and what it solves at once: at most 1 GB.
    blocks = min(36e-6 * rows * width, 900)
    solved = min(96e-6 * min(rows, 500) * width * 40, max(1100, 96e-6 * width * 40))
    return Use(700 + blocks + solved, 60 + rows * width / 40_000)


def analyse_syntax(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = rows_of(work, wildcards)
    # Ten hits a region, of words whose pairs are compared; attributions are read in blocks.
    block = min(8 * rows * length, 20e6) * 16e-6
    return Use(300 + 0.02 * rows + block, 60 + 3e-3 * rows + rows * length / 20e6)


def call_seqlets(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = rows_of(work, wildcards)
    settings = work.config["analyses"][wildcards["analysis"]].get("seqlets") or {}
    width = min(length, settings.get("window") or length)
    # One seqlet in 100 bp is many; a comparison with a database takes 1 ms.
    seqlets = rows * width / 100
    # Once on every machine, 90 s of compiling. Contributions are held once, and read in blocks.
    block = min(16e-6 * rows * width, 600)
    return Use(700 + block + 4e-6 * rows * width + 2e-3 * seqlets, 150 + 2e-6 * rows * width + 2e-3 * seqlets)


def combine_lexicon(work: Work, wildcards: Mapping[str, str]) -> Use:
    found = [a for a in work.config["analyses"].values() if a["motifs"]]
    # TF-MoDISco finds up to some 40 patterns in a target; pairs of patterns are compared.
    pairs = (40 * sum(len(analysis["targets"]) for analysis in found)) ** 2
    # Once on every machine, 60 s of compiling.
    return Use(400 + 0.3e-3 * pairs, 90 + 20e-6 * pairs)


def summarise_usage(work: Work, wildcards: Mapping[str, str]) -> Use:
    found = [(a["regions"], len(a["targets"])) for a in work.config["analyses"].values() if a.get("hits")]
    # Tables of hits of one target at a time, of up to some ten hits a region.
    rows = max((work.regions(name) for name, _ in found), default=0)
    targets = sum(number for _, number in found)
    return Use(250 + 8e-3 * rows, 10 + targets * rows * 5e-5)


def render_report(work: Work, wildcards: Mapping[str, str]) -> Use:
    pages = [(work.regions(a["regions"]), len(a["targets"])) for a in work.config["analyses"].values()]
    targets = sum(number for _, number in pages)
    return Use(200 + 0.5e-3 * max(rows for rows, _ in pages), 20 + 5 * targets)


def verify_results(work: Work, wildcards: Mapping[str, str]) -> Use:
    stored = [(*work.stored(a), len(a["targets"])) for a in work.config["analyses"].values()]
    # Blocks of arrays, two tables of regions and checksums of rows are held; 100 MB of files in a second.
    rows = max((number for number, _, _ in stored), default=0)
    kept = sum(number * targets for number, _, targets in stored)
    size = sum(number * bases * targets for number, bases, targets in stored) * 25e-6
    return Use(600 + 1.2e-3 * rows + 50e-6 * kept, 30 + size / 100)
