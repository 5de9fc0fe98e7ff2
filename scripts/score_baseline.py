"""Scan known motifs over a model's held-out windows, as its baseline (rule score_baseline)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821  (Snakemake runs a copy: use the package beside the original)
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.motifs.baseline import score_baseline


def main(held_out: str, databases: list, baseline: str, **options: int) -> None:
    """Score, with plain arguments (see cislex.motifs.baseline)."""
    score_baseline(held_out, databases, baseline, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        held_out=smk.input.held_out,
        databases=list(smk.input.databases),
        baseline=smk.output.baseline,
        threads=smk.threads,
        seed=smk.params.seed,
    )
