"""Index the genome and digest its chromosomes, once for all jobs (rule index_genome)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821  (Snakemake runs a copy: use the package beside the original)
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.regions.genome import index_genome


def main(fasta: str, chromosomes: str, fai: str, gzi: str) -> None:
    """Run the stage with plain arguments."""
    index_genome(fasta, chromosomes, fai, gzi)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(smk.input.fasta, smk.output.chromosomes, smk.output.fai, smk.output.gzi)
