"""Bring sequences given directly, as FASTA, HDF5 or NumPy file, into the chain (rule import_sequences)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821  (Snakemake runs a copy: use the package beside the original)
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.sequences.importing import import_sequences


def main(*, source: str, regions: str, dropped: str, sequences: str, threads: int, **options: dict) -> None:
    """Run the stage with plain arguments; ``options`` as import_sequences takes them."""
    import_sequences(source, regions, dropped, sequences, threads=threads, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    files = {key: smk.input.get(key) or None for key in ("table", "names")}
    main(
        source=smk.input.source,
        regions=smk.output.regions,
        dropped=smk.output.dropped,
        sequences=smk.output.sequences,
        threads=smk.threads,
        **{**smk.params.options, "selection": {**smk.params.options.get("selection", {}), **files}},
    )
