"""Score variants: from a VCF or table and a model's folds to one table of effects, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cislex.errors import ConfigError
from cislex.files.scratch import scratch_folder
from cislex.variants.checked import prepare_variants
from cislex.variants.chunk import DEFAULT_NULL, NullOptions, VariantJob, score_chunk
from cislex.variants.summary import combine_chunks
from cislex.variants.windows import WindowOptions


def score_variants(
    variants: str | Path,
    fasta: str | Path,
    weights: Mapping[str, str | Path],
    scores: str | Path,
    dropped: str | Path,
    *,
    wanted: Mapping[str, Mapping[str, Any]],
    loader: str,
    windows: WindowOptions,
    null: NullOptions = DEFAULT_NULL,
    reverse_complement: bool = False,
    counts: Mapping[str, str] | None = None,
    signs: Mapping[str, str] | None = None,
    background: str | Path | None = None,
    on_mismatch: str = "error",
    aliases: str | Path | None = None,
    fai: str | Path | None = None,
    gzi: str | Path | None = None,
    outputs: Sequence[str] = (),
    batch_size: int | None = None,
    device: str = "auto",
    threads: int = 1,
    **model: Any,
) -> None:
    """Score the alleles of variants with every fold of a model.

    Predictions wait in a temporary file, so memory grows with the table of variants alone.

    Parameters
    ----------
    variants
        See :func:`cislex.variants.vcf.read_variants`.
    fasta
        The genome.
    weights
        Weights file of each fold.
    scores
        Written: ``chrom pos ref alt id`` (``pos`` 1-based, as in a VCF), and for each target
        ``{target}.effect`` (mean over the folds), ``.logfc`` (of counts), ``.p``, ``.q``, ``.spread``
        (standard deviation over the folds), ``.jsd``, ``.quantile`` (of the more active allele in the
        background), ``.reference`` and ``.alternative``; with several folds ``{target}.{fold}.effect``. Then
        the further columns of the input. Rows are in the order of the input. Cells of
        what does not apply are empty.
    dropped
        Written: the alleles that are not scored, with the reasons. Both tables together have every allele.
    wanted
        Settings of each target, for example ``{"counts": {"kind": "output", "index": 0}}``.
    loader, **model
        The model: settings of :func:`cislex.models.loading.load_model`.
    windows
        Length, anchor and shifts.
    null
        Size and seed of the null.
    reverse_complement
        Average over both strands.
    counts
        Which targets are counts, see :func:`cislex.variants.effects.prepare_comparison`.
    signs
        From which target's effect the distance of a profile takes its sign; by default from its own.
    background
        ``predictions.tsv`` of regions, with a column for each target.
    on_mismatch
        ``error`` or ``drop``: what to do where REF is not what the genome has.
    aliases, fai, gzi
        Table of chromosome names and the genome's index, or None.
    outputs
        Names for the tensors that the model returns.
    batch_size
        Windows at once; halved where memory is short.
    device
        ``auto``, ``cpu`` or ``cuda``.
    threads
        Threads of torch on the CPU.

    Raises
    ------
    ConfigError, InputError, ModelError, StorageError
        Nothing is left under the name ``scores``.
    """
    if not weights:
        raise ConfigError("no fold: name at least one weights file in the model's folds")
    with scratch_folder("variants") as folder:
        alleles = folder / "alleles.tsv"
        prepare_variants(
            variants,
            fasta,
            alleles,
            dropped,
            windows=windows,
            on_mismatch=on_mismatch,
            aliases=aliases,
            fai=fai,
            gzi=gzi,
        )
        chunks = {fold: [folder / f"{number}.h5"] for number, fold in enumerate(weights)}
        for fold, path in weights.items():
            job = VariantJob(
                fold=fold,
                targets=wanted,
                windows=windows,
                null=null,
                reverse_complement=reverse_complement,
                counts=counts or {},
                signs=signs or {},
            )
            score_chunk(
                alleles,
                fasta,
                path,
                chunks[fold][0],
                job,
                model={"loader": loader, "outputs": outputs, **model},
                batch_size=batch_size,
                device=device,
                threads=threads,
                fai=fai,
                gzi=gzi,
            )
        combine_chunks(alleles, chunks, scores, wanted=wanted, null=null, background=background)
