"""Attribute both alleles of the variants that matter most (rule attribute_variants)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.attribution.kernels import keep_freed_memory
from cislex.variants.attribute import TopFiles, TopJob, attribute_variants


def main(scores: str, alleles: str, fasta: str, weights: dict, files: list, job: dict, **options) -> None:
    """Run the stage with plain arguments."""
    top = TopJob.from_settings(job)
    attribute_variants(scores, alleles, fasta, weights, TopFiles(*files), top, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    keep_freed_memory()
    analysis = smk.config["variants"][smk.wildcards.variants]["analysis"]
    incomplete = smk.config["analyses"][analysis]["qc"]["allow_incomplete"]
    main(
        smk.input.scores,
        smk.input.alleles,
        smk.input.fasta,
        dict(zip(smk.params.folds, smk.input.weights, strict=True)),
        [smk.output.arrays, smk.output.table],
        {**smk.params.job, "allow_incomplete": incomplete},
        model=smk.params.model,
        words=smk.input.words or None,
        references=smk.input.number or None,
        fai=smk.input.fai,
        gzi=smk.input.gzi,
        batch_size=smk.params.batch_size,
        device=smk.params.device,
        threads=smk.threads,
    )
