"""Make the table and the VCF of a set of variants (rule combine_variants)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.variants.summary import VariantFiles, combine_variants


def main(alleles: str, chunks: dict, chromosomes: str, files: list, **options: object) -> None:
    """Run the stage with plain arguments."""
    combine_variants(alleles, chunks, chromosomes, VariantFiles(*files), **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    folds, paths = smk.params.folds, list(smk.input.chunks)
    each = len(paths) // len(folds)
    main(
        smk.input.alleles,
        {fold: paths[i * each : (i + 1) * each] for i, fold in enumerate(folds)},
        smk.input.chromosomes,
        [smk.output.scores, smk.output.vcf],
        wanted=smk.params.wanted,
        null=smk.params.null,
        background=smk.input.background or None,
    )
