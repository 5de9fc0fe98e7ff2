"""Make the tables of an in-silico experiment (rule insert_motifs)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.insertions.insert import insert_motifs


def main(plan: str, chunks: dict, out: str, contexts: str, sites: str, **options: object) -> None:
    """Run the stage with plain arguments."""
    insert_motifs(plan, chunks, out, contexts, sites, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    folds, paths = smk.params.folds, list(smk.input.chunks)
    each = len(paths) // len(folds)
    main(
        smk.input.plan,
        {fold: paths[i * each : (i + 1) * each] for i, fold in enumerate(folds)},
        smk.output.table,
        smk.output.contexts,
        smk.output.sites,
        **smk.params.options,
    )
