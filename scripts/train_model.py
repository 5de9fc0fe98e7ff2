"""Train one fold of a model on examples of any source (rule train_model)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821  (Snakemake runs a copy: use the package beside the original)
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.attribution.kernels import keep_freed_memory
from cislex.training.heads import LossSettings
from cislex.training.sources import make_source
from cislex.training.train import Optimisation, train_model


def main(*, kind: str, source: dict, loss: dict, optimisation: dict, **settings: object) -> None:
    """Train, with plain settings (see cislex.training.train and cislex.training.sources)."""
    train_model(
        make_source(kind, source),
        loss=LossSettings(**loss),
        optimisation=Optimisation(**optimisation),
        **settings,
    )


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    keep_freed_memory()
    main(
        weights=smk.output.weights,
        training=smk.output.training,
        evaluation=smk.output.evaluation,
        held_out=smk.output.held_out,
        threads=smk.threads,
        **smk.params.options,
    )
