"""Train one fold of a model on peaks against the rest of the genome (rule train_model)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821  (Snakemake runs a copy: use the package beside the original)
    from cislex.logs import redirect

    redirect(snakemake.log[0])  # noqa: F821
from cislex.training import Optimisation, train_model
from cislex.training_data import WindowSettings


def main(*, windows: dict, optimisation: dict, **settings: object) -> None:
    """Train, with plain settings (see cislex.training)."""
    train_model(windows=WindowSettings(**windows), optimisation=Optimisation(**optimisation), **settings)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    main(
        fasta=smk.input.fasta,
        fai=smk.input.fai,
        gzi=smk.input.gzi,
        tasks=dict(zip(smk.params.tasks, smk.input.peaks, strict=True)),
        aliases=smk.input.get("aliases"),
        blacklist=smk.input.get("blacklist"),
        weights=smk.output.weights,
        training=smk.output.training,
        evaluation=smk.output.evaluation,
        threads=smk.threads,
        **smk.params.options,
    )
