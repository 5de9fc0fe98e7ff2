"""Write a database of known motifs as one MEME file (rule fetch_motif_database)."""

import os
import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.motifs.databases import fetch_motif_database


def main(database: str, release: str, out: str, *, compared: bool = False) -> None:
    """Run the stage with plain arguments; ``compared``: later jobs of this machine compare motifs."""
    fetch_motif_database(database, out, release=release)
    if compared:
        from cislex.motifs.matching import compile_comparison

        compile_comparison()


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    # Few jobs run at the beginning; later all would wait for it. On a cluster each node has its own.
    compared = "SLURM_JOB_ID" not in os.environ and any(
        analysis["motifs"] is not None or analysis["seqlets"] is not None
        for analysis in smk.config["analyses"].values()
    )
    main(smk.params.database, smk.params.release, smk.output.meme, compared=compared)
