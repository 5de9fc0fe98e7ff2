"""Write a database of known motifs as one MEME file (rule fetch_motif_database)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.motifs.databases import fetch_motif_database


def main(database: str, release: str, out: str) -> None:
    """Run the stage with plain arguments."""
    fetch_motif_database(database, out, release=release)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(smk.params.database, smk.params.release, smk.output.meme)
