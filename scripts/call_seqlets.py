"""Call and name the significant seqlets of every region (rule call_seqlets)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.motifs.seqlets import SeqletSettings, call_seqlets


def main(
    attributions: str, out: str, *, settings: dict, databases: dict, words: str | None, threads: int
) -> None:
    """Run the stage with plain arguments; ``databases`` by name."""
    call_seqlets(
        attributions, out, SeqletSettings(**settings), databases=databases, words=words, threads=threads
    )


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        smk.input.attributions,
        smk.output.seqlets,
        settings=smk.params.settings,
        databases=dict(zip(smk.params.databases, smk.input.databases, strict=True)),
        words=smk.input.get("words"),
        threads=smk.threads,
    )
