"""Score one chunk of variants by one fold of the model (rule score_variants)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.attribution.kernels import keep_freed_memory
from cislex.variants.chunk import NullOptions, VariantJob, score_chunk
from cislex.variants.windows import WindowOptions


def main(
    alleles: str,
    fasta: str,
    weights: str,
    out: str,
    job: dict,
    *,
    windows: dict,
    null: dict,
    **options: object,
) -> None:
    """Run the stage with plain arguments."""
    shifts = tuple(windows.pop("shifts"))
    settings = VariantJob(windows=WindowOptions(**windows, shifts=shifts), null=NullOptions(**null), **job)
    score_chunk(alleles, fasta, weights, out, settings, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    keep_freed_memory()
    parts = dict(smk.params.job)
    windows, null = dict(parts.pop("windows")), parts.pop("null")
    main(
        smk.input.alleles,
        smk.input.fasta,
        smk.input.weights,
        smk.output.chunk,
        {**parts, "chunk": int(smk.wildcards.chunk), "fold": smk.wildcards.fold},
        windows=windows,
        null=null,
        model=smk.params.model,
        fai=smk.input.fai,
        gzi=smk.input.gzi,
        batch_size=smk.params.batch_size,
        device=smk.params.device,
        threads=smk.threads,
    )
