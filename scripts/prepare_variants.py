"""Check every allele of a set of variants (rule prepare_variants)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.variants.checked import prepare_variants
from cislex.variants.windows import WindowOptions


def main(variants: str, fasta: str, alleles: str, dropped: str, *, windows: dict, **options: object) -> None:
    """Run the stage with plain arguments."""
    prepare_variants(variants, fasta, alleles, dropped, windows=WindowOptions(**windows), **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        smk.input.variants,
        smk.input.fasta,
        smk.output.alleles,
        smk.output.dropped,
        aliases=smk.input.aliases or None,
        fai=smk.input.fai,
        gzi=smk.input.gzi,
        **smk.params.options,
    )
