"""Score one chunk of variants by one fold of the model (rule score_variants)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.attribution.kernels import keep_freed_memory
from cislex.variants.chunk import VariantJob, score_chunk


def main(alleles: str, fasta: str, weights: str, out: str, job: dict, **options: object) -> None:
    """Run the stage with plain arguments."""
    score_chunk(alleles, fasta, weights, out, VariantJob.from_settings(job), **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    keep_freed_memory()
    main(
        smk.input.alleles,
        smk.input.fasta,
        smk.input.weights,
        smk.output.chunk,
        {**smk.params.job, "chunk": int(smk.wildcards.chunk), "fold": smk.wildcards.fold},
        model=smk.params.model,
        fai=smk.input.fai,
        gzi=smk.input.gzi,
        batch_size=smk.params.batch_size,
        device=smk.params.device,
        threads=smk.threads,
    )
