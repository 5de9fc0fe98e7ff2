"""Analyse where words stand and how they stand to each other (rule analyse_syntax)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.syntax.analysis import analyse_syntax
from cislex.syntax.settings import SyntaxSettings


def main(hits: str, attributions: str, out: str, *, lexicon: str | None, settings: dict) -> None:
    """Run the stage with plain arguments."""
    analyse_syntax(
        hits,
        attributions,
        out,
        settings=SyntaxSettings(**settings),
        attributions=attributions,
        lexicon=lexicon,
    )


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    folder = smk.output.syntax.rpartition("/")[0]
    lexicon = smk.input.get("lexicon")
    main(smk.input.hits, smk.input.attributions, folder, lexicon=lexicon, settings=smk.params.settings)
