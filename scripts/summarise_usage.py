"""Summarise which target uses which word of the lexicon (rule summarise_usage)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.lexicon.usage import LexiconInputs, UsageSource, summarise_usage


def main(targets: list, files: dict, hits: dict, table: str, matrix: str) -> None:
    """Run the stage with plain arguments; hits and attributions by the number of the target."""
    sources = [UsageSource(*target, *hits.get(number, ())) for number, target in enumerate(targets)]
    summarise_usage(LexiconInputs(**files), sources, table, matrix)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        smk.params.targets,
        files={name: smk.input[name] for name in ("words", "members", "modisco")},
        hits=dict(
            zip(smk.params.with_hits, zip(smk.input.hits, smk.input.attributions, strict=True), strict=True)
        ),
        table=smk.output.table,
        matrix=smk.output.matrix,
    )
