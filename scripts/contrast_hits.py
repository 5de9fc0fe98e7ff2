"""Contrast two targets or models at hits (rule contrast_hits)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.comparison.contrast import ContrastFiles, Side, contrast_hits


def main(hits: str, first: dict, second: dict, files: dict, **options: object) -> None:
    """Run the stage with plain arguments: of each side ``analysis``, ``target`` and ``attributions``."""
    contrast_hits(hits, Side(**first), Side(**second), ContrastFiles(**files), **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    sides = [{**smk.params[side], "attributions": smk.input[side]} for side in ("first", "second")]
    files = {name: smk.output[name] for name in ("hits", "words", "sides")}
    main(smk.input.hits, *sides, files, **smk.params.options)
