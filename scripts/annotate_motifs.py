"""Name, trim and draw the motifs of one target (rule annotate_motifs)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.motifs.annotation import annotate_motifs
from cislex.motifs.files import TrimSettings


def main(
    modisco: str, databases: dict, table: str, meme: str, logos: str, trimming: dict, threads: int
) -> None:
    """Run the stage with plain arguments; ``databases`` by name."""
    annotate_motifs(modisco, databases, table, meme, logos, TrimSettings(**trimming), threads=threads)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        modisco=smk.input.motifs,
        databases=dict(zip(smk.params.databases, smk.input.databases, strict=True)),
        table=smk.output.table,
        meme=smk.output.meme,
        logos=smk.output.logos,
        trimming=smk.params.trimming,
        threads=smk.threads,
    )
