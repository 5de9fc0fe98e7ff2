"""Analyse where words stand and how they stand to each other (rule analyse_syntax)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.motifs.files import TrimSettings
from cislex.syntax.analysis import analyse_syntax
from cislex.syntax.settings import SyntaxSettings


def main(hits: str, attributions: str, out: str, *, settings: dict, words: dict, trimming: dict) -> None:
    """Run the stage with plain arguments; ``words``: the ``lexicon``, and the ``motifs`` of Fi-NeMo."""
    analyse_syntax(
        hits,
        attributions,
        out,
        settings=SyntaxSettings(**settings),
        attributions=attributions,
        trimming=TrimSettings(**trimming),
        **words,
    )


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    words = {name: smk.input.get(name) for name in ("lexicon", "motifs")}
    folder = smk.output.syntax.rpartition("/")[0]
    given = {"settings": smk.params.settings, "words": words, "trimming": smk.params.trimming}
    main(smk.input.hits, smk.input.attributions, folder, **given)
