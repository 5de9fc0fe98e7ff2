"""Join the chunks and folds of one target into one file of all rows (rule aggregate_chunks)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.chunks.aggregate import aggregate_chunks
from cislex.chunks.files import read_inspected
from cislex.chunks.gate import Gate


def main(*, sequences: str, chunks: dict, out: str, gate: dict, inspected: str, **options) -> None:
    """Run the stage with plain arguments; ``options`` are the target, what is stored and the threads."""
    options["inspected"] = read_inspected(inspected)
    judged = Gate(gate["max_relative_delta"], gate["on_fail"])
    aggregate_chunks(sequences, chunks, out, None, gate=judged, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    per_fold = len(smk.input.chunks) // len(smk.params.folds)
    main(
        sequences=smk.input.sequences,
        chunks={
            fold: smk.input.chunks[i * per_fold : (i + 1) * per_fold]
            for i, fold in enumerate(smk.params.folds)
        },
        out=smk.output.complete,
        target=smk.wildcards.target,
        # From the config: as a parameter, another gate would attribute everything anew.
        gate=smk.config["analyses"][smk.wildcards.analysis]["qc"],
        inspected=smk.input.inspected,
        windows=smk.input.windows or None,
        **{key: smk.params.attribution.get(key) for key in ("window", "storage")},
        threads=smk.threads,
    )
