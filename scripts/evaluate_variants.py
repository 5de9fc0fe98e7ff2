"""Compare effects of variants with measurements (rule evaluate_variants)."""

import sys

if "snakemake" in globals():
    sys.path.insert(0, snakemake.scriptdir)  # noqa: F821
    from cislex.runtime.jobs import begin

    begin(snakemake.log[0], threads=snakemake.threads)  # noqa: F821
from cislex.variants.evaluate import EvaluationFiles, evaluate_variants


def main(scores: str, alleles: str, fasta: str, files: list, **options: object) -> None:
    """Run the stage with plain arguments."""
    evaluate_variants(scores, alleles, fasta, EvaluationFiles(*files), **options)


if "snakemake" in globals():
    smk = snakemake  # noqa: F821
    targets, tracks = smk.params.options["targets"], list(smk.input.tracks)
    kinds = {"words": smk.input.words, "known": smk.input.known}
    main(
        smk.input.scores,
        smk.input.alleles,
        smk.input.fasta,
        [smk.output.evaluation, smk.output.enrichment, smk.output.observed],
        motifs={
            kind: [paths] if isinstance(paths, str) else list(paths) for kind, paths in kinds.items() if paths
        },
        tracks=dict(zip(targets, tracks, strict=True)) if tracks else {},
        fai=smk.input.fai,
        gzi=smk.input.gzi,
        **smk.params.options,
    )
