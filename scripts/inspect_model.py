"""Inspect a model before the expensive work (rule inspect_model)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821  (Snakemake runs a copy: use the package beside the original)
    from cislex.runtime.jobs import begin, started_at

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.attribution.kernels import keep_freed_memory
from cislex.prediction.inspect import inspect_model


def main(weights: dict, table: str, text: str, passed: str, **options: object) -> None:
    """Inspect, with plain arguments (see cislex.prediction.inspect)."""
    inspect_model(weights, table, text, passed, **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    keep_freed_memory()
    main(
        weights=dict(zip(smk.params.folds, smk.input.weights, strict=True)),
        table=smk.output.table,
        text=smk.output.text,
        passed=smk.output.passed,
        analysis=smk.wildcards.analysis,
        references=smk.output.references,
        sequences=smk.input.sequences or None,
        threads=smk.threads,
        started=started_at(),
        gate=smk.config["analyses"][smk.wildcards.analysis]["qc"],
        automatic=smk.params.automatic and {**smk.params.automatic, "sequences": smk.input.sequences},
        **smk.params.options,
    )
