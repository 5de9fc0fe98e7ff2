"""Judge the completeness of all rows, and keep those that pass (rule gate_attributions)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.chunks.gate import Gate, gate_attributions


def main(*, complete: str, out: str, qc: str, gate: dict) -> None:
    """Run the stage with plain arguments."""
    gate_attributions(complete, out, qc, gate=Gate(**gate))


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        complete=smk.input.complete,
        out=smk.output.attributions,
        qc=smk.output.qc,
        gate=smk.params.gate,
    )
