"""Measure how faithful the scores of an analysis are to its model (rule measure_faithfulness)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.attribution.kernels import keep_freed_memory
from cislex.chunks.attribute import ChunkJob
from cislex.comparison.faithfulness import FaithfulnessSettings, measure_faithfulness


def main(*files: object, job: dict, settings: dict, **options: object) -> None:
    """Run the stage with plain arguments."""
    own = ChunkJob(chunk=0, fold="", **job)
    measure_faithfulness(*files, own, FaithfulnessSettings(**settings), **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    keep_freed_memory()
    params = smk.params
    main(
        smk.input.sequences,
        dict(zip(params.job["targets"], smk.input.attributions, strict=True)),
        dict(zip(params.folds, smk.input.weights, strict=True)),
        {name: smk.output[name] for name in ("faithfulness", "curves", "words")},
        job=params.job,
        settings=params.settings,
        truth=smk.input.truth or None,
        references=smk.input.number or None,
        **{name: params[name] for name in ("model", "uncorrected", "batch_size", "device")},
        threads=smk.threads,
    )
