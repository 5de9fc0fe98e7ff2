"""Compare the syntax of a target with the grammar that was planted (rule compare_grammar)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.demo.grammar_truth import compare_grammar


def main(*, grammar: str, truth: str, hits: str, attributions: str, tables: str, out: str) -> None:
    """Run the stage with plain arguments; ``tables`` is the folder of the tables of syntax."""
    compare_grammar(grammar, truth, hits, attributions, tables, out)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    names = ("grammar", "truth", "hits", "attributions")
    files = {name: smk.input[name] for name in names}
    main(**files, tables=smk.input.syntax.rpartition("/")[0], out=smk.output.table)
