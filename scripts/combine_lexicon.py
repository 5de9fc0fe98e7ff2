"""Combine the motifs of all targets into one lexicon (rule combine_lexicon)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.lexicon.combine import LexiconSettings, combine_lexicon
from cislex.lexicon.files import LexiconFiles
from cislex.lexicon.patterns import PatternSource
from cislex.motifs.files import TrimSettings


def main(targets: list, motifs: list, files: dict, *, settings: dict, trimming: dict, **rest: object) -> None:
    """Run the stage with plain arguments."""
    combine_lexicon(
        [PatternSource(*target, file) for target, file in zip(targets, motifs, strict=True)],
        LexiconFiles(**files),
        settings=LexiconSettings(**settings),
        trimming=TrimSettings(**trimming),
        **rest,
    )


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        smk.params.targets,
        smk.input.motifs,
        files=dict(smk.output.items()),
        databases=dict(zip(smk.params.databases, smk.input.databases, strict=True)),
        settings=smk.params.settings,
        trimming=smk.params.trimming,
        threads=smk.threads,
    )
