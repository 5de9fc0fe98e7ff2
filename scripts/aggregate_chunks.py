"""Join the chunks and folds of one target into one checked file (rule aggregate_chunks)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.aggregation import Gate, aggregate_chunks
from cislex.chunk_files import read_inspected


def main(*, sequences: str, chunks: dict, out: str, qc: str, gate: dict, inspected: str, **options) -> None:
    """Run the stage with plain arguments; ``options`` are the target and the number of threads."""
    options["inspected"] = read_inspected(inspected)
    aggregate_chunks(sequences, chunks, out, qc, gate=Gate(**gate), **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    per_fold = len(smk.input.chunks) // len(smk.params.folds)
    main(
        sequences=smk.input.sequences,
        chunks={
            fold: smk.input.chunks[i * per_fold : (i + 1) * per_fold]
            for i, fold in enumerate(smk.params.folds)
        },
        out=smk.output.attributions,
        qc=smk.output.qc,
        target=smk.wildcards.target,
        gate=smk.params.gate,
        inspected=smk.input.inspected,
        threads=smk.threads,
    )
