"""One-hot encode the sequences of regions (rule encode_sequences)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821  (Snakemake runs a copy: use the package beside the original)
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.sequences.store import encode_sequences


def main(*, regions: str, fasta: str, sequences: str, threads: int, **index: str) -> None:
    """Run the stage with plain arguments; ``index`` are the files of index_genome."""
    encode_sequences(regions, fasta, sequences, threads=threads, **index)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        regions=smk.input.regions,
        fasta=smk.input.fasta,
        chromosomes=smk.input.chromosomes,
        fai=smk.input.fai,
        gzi=smk.input.gzi,
        sequences=smk.output.sequences,
        threads=smk.threads,
    )
