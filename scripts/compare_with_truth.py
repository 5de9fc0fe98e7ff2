"""Compare motifs and hits with what the demo planted (rule compare_with_truth)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.demo.truth import compare_with_truth

FILES = ("truth", "planted", "motifs", "meme", "attributions", "database")


def main(out: str, **options: object) -> None:
    """Run the stage with plain arguments."""
    compare_with_truth(out=out, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        out=smk.output.table,
        hits=smk.input.get("hits"),
        words=smk.input.get("words") or None,
        threads=smk.threads,
        **{name: smk.input[name] for name in FILES},
    )
