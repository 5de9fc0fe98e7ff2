"""What the model says of one analysis's scores: insertion and deletion curves, stability, words, sanity.

A few regions are enough: means over them are compared, the same regions and draws for every analysis.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from cislex import provenance
from cislex.attribution import Attribution, DinucleotideShuffle
from cislex.attribution.references import make_references
from cislex.chunks.attribute import ChunkJob, attribute_rows
from cislex.chunks.files import read_reference_number
from cislex.chunks.methods_from_config import with_references
from cislex.comparison import words
from cislex.comparison.agreement import pearson, quartiles
from cislex.comparison.columns import CURVES, FAITHFULNESS
from cislex.comparison.curves import KINDS, area, base_counts, curve_sequences, normalised, ranking
from cislex.comparison.planted import Planted, read_planted
from cislex.comparison.scores import Source, blocks, contributions, open_scores
from cislex.errors import ConfigError, ModelError, offenders
from cislex.files.tables import write_table
from cislex.insertions.chunk import Predictor, make_predictor
from cislex.logs import get_logger, progress
from cislex.models.loading import check_model, load_model
from cislex.runtime.devices import claim
from cislex.sequences.store import SequenceStore, rows_of_fold, to_codes
from cislex.targets import targets

ORDERS = ("scores", "random")
#: Sequences that are predicted at once, about.
BLOCK = 4096
#: Methods whose numbers depend on drawn references, and kinds of references that are drawn.
DRAWING = ("deep_lift_shap", "integrated_gradients", "expected_gradients")
DRAWN = ("dinucleotide_shuffle", "shuffle", "genomic")

Codes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
logger = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class FaithfulnessSettings:
    """What is measured.

    Parameters
    ----------
    n
        Regions, at most, drawn at random.
    steps
        Points of a curve, at most, about even on a log scale of bases.
    draws
        Reference draws of each region.
    stability
        Attribute once more with other references of the same kind and number.
    randomised
        Attribute once more with the model's parameters in random order (Adebayo et al. 2018).
    seed
        Of all draws.
    """

    n: int = 200
    steps: int = 12
    draws: int = 3
    stability: bool = True
    randomised: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.n, self.draws) < 1:
            raise ConfigError(f"faithfulness: found n {self.n} and draws {self.draws}, expected 1 or more")


@dataclass
class _Regions:
    """The regions: rows, codes (n, L), draws (n, D, L), scores of each target (n, L), pairs of words.

    And the digest of each fold's model.
    """

    rows: Rows
    codes: Codes
    draws: Codes
    scores: dict[str, Floats]
    counts: NDArray[np.int64]
    planted: Planted | None
    pairs: dict[int, tuple[str, str]]
    models: dict[str, str]


@dataclass
class _Sums:
    """Sums over folds.

    Attributes
    ----------
    curves
        (targets, orders, n, kinds, K).
    words
        Predictions of the sequences of ``word_sequences``, and of the region itself, (targets, n, 4).
    again
        Contributions with other references, and with random parameters, (n, L) of each target.
    """

    curves: Floats
    words: Floats
    count: Rows
    again: dict[str, dict[str, Floats]] = field(default_factory=dict)


def draws_references(method: Mapping[str, Any]) -> bool:
    """Whether the numbers of a method depend on the seed of its references."""
    kind = (method.get("references") or {"kind": "dinucleotide_shuffle"})["kind"]
    return method["name"] in DRAWING and (method["name"] == "expected_gradients" or kind in DRAWN)


def measure_faithfulness(
    sequences: str | Path,
    attributions: Mapping[str, str | Path],
    weights: Mapping[str, str | Path],
    outputs: Mapping[str, str | Path],
    job: ChunkJob,
    settings: FaithfulnessSettings,
    *,
    model: Mapping[str, Any],
    uncorrected: bool = False,
    truth: str | Path | None = None,
    references: str | Path | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Measure how faithful the scores of an analysis are to its model.

    Parameters
    ----------
    sequences, attributions
        ``sequences.h5``, and ``attributions.h5`` of each target.
    weights, model
        Weights of each fold, and the other settings of :func:`cislex.models.loading.load_model`.
    outputs
        Written: ``faithfulness``, ``curves`` and ``words``.
    job
        How the analysis attributes; chunk and fold do not matter.
    settings
        What is measured.
    uncorrected
        Of the multipliers instead of hypothetical contributions.
    truth
        ``truth.tsv`` of a simulated genome, for pairs of words.
    references
        ``references.json``, whose number of references replaces that of the method.
    batch_size, device, threads
        See :func:`cislex.chunks.attribute.attribute_chunk`.

    Raises
    ------
    ConfigError, InputError, ModelError, StorageError
        Nothing is left under the names of the files.
    """
    torch.set_num_threads(threads)
    if references is not None:
        method = with_references(job.method, read_reference_number(references))
        job = dataclasses.replace(job, method=method)
    sources = {target: Source(path, uncorrected) for target, path in attributions.items()}
    wanted = list(targets.all_from_config(job.targets).values())
    with SequenceStore(sequences) as store, claim(device) as where:
        regions = _choose(store, sources, settings, truth)
        n, length = regions.codes.shape
        shape = (len(wanted), len(ORDERS), n, len(KINDS), len(regions.counts))
        sums = _Sums(np.zeros(shape), np.zeros((len(wanted), n, 4)), np.zeros(n, np.int64))
        chroms = store.regions()["chrom"].iloc[regions.rows]
        for fold, path in weights.items():
            own = np.flatnonzero(rows_of_fold(chroms, job.held_out, fold))
            if not len(own):
                continue
            loaded = load_model(weights=path, **model)
            if regions.models.get(fold, loaded.digest) != loaded.digest:
                raise ModelError(
                    f"{path} ({fold}): this is not the model whose attributions are compared "
                    f"({offenders(attributions.values())}): weights or attributions changed; run again"
                )
            check_model(loaded, length)
            predictor = make_predictor(
                loaded.model, wanted, length, device=where, precision=job.precision,
                both_strands=job.reverse_complement, batch_size=batch_size,
            )  # fmt: skip
            with predictor.prepared.active():
                _add_curves(sums, predictor, regions, own, settings)
                _add_words(sums, predictor, regions, own)
            sums.count[own] += 1
            for name, other in _jobs(job, fold, settings):
                if name == "randomised":
                    randomise(loaded.model, settings.seed)
                found = attribute_rows(
                    loaded, store, other, regions.rows[own], batch_size=batch_size, device=where
                )
                _add_attributions(sums.again.setdefault(name, {}), found, own, regions, uncorrected)
        tables = [_of_target(regions, sums, t, target) for t, target in enumerate(job.targets)]
    names = ("faithfulness", "curves", "words")
    for name, parts in zip(names, zip(*tables, strict=True), strict=True):
        write_table(pd.concat(parts, ignore_index=True), outputs[name])
    logger.info("%d regions, %d folds", n, len(weights))


def _choose(
    store: SequenceStore,
    sources: Mapping[str, Source],
    settings: FaithfulnessSettings,
    truth: str | Path | None,
) -> _Regions:
    """Draw regions that every target has, and their reference draws."""
    with open_scores(sources) as (found, rows):
        for scores in found.values():
            scores.require_sequences(store)
        shuffled = np.random.default_rng(settings.seed).permutation(store.n)
        chosen = np.sort(shuffled[np.isin(shuffled, rows)][: settings.n])
        read = {target: scores.read(chosen) for target, scores in found.items()}
    table = store.regions().iloc[chosen].reset_index(drop=True)
    onehot = next(iter(read.values()))[1]
    named = table["chrom"].where(table["chrom"] != "", table["name"])
    place = (table["start"], table["end"], table["strand"])
    seeds = provenance.locus_seeds(f"{store.source_digest}/faithfulness", named, *place, settings.seed)
    drawn = make_references(DinucleotideShuffle(n=settings.draws), onehot, seeds).numpy()
    planted = None if truth is None else read_planted(truth, table)
    return _Regions(
        rows=chosen,
        codes=to_codes(onehot),
        draws=to_codes(drawn),
        scores={target: contributions(*values) for target, values in read.items()},
        models={fold: digest for one in found.values() for fold, digest in one.model_digests.items()},
        counts=base_counts(store.length, settings.steps),
        planted=planted,
        pairs={} if planted is None else words.pairs_of(planted, np.arange(len(chosen))),
    )


def _predict(predictor: Predictor, codes: Sequence[Codes], name: str) -> list[Floats]:
    """Values (T, …) of sequences (…, L) of several arrays; equal sequences are predicted once."""
    length = codes[0].shape[-1]
    flat = np.concatenate([part.reshape(-1, length) for part in codes])
    each, inverse = np.unique(flat, axis=0, return_inverse=True)
    values = predictor(each, name)[:, inverse.reshape(-1)]
    ends = np.cumsum([part.size // length for part in codes])[:-1]
    return [
        found.reshape(len(values), *part.shape[:-1])
        for found, part in zip(np.split(values, ends, axis=1), codes, strict=True)
    ]


def _add_curves(
    sums: _Sums, predictor: Predictor, regions: _Regions, own: Rows, settings: FaithfulnessSettings
) -> None:
    targets_, length = list(regions.scores), regions.codes.shape[1]
    size = max(1, BLOCK // (2 * settings.draws * len(regions.counts) * (1 + len(targets_))))
    for block in progress(blocks(own, size), total=len(own), label="curves", weight=size):
        codes = []
        for place in block:
            rng = np.random.default_rng([settings.seed, int(regions.rows[place])])
            random = ranking(rng.random((settings.draws, length)))
            orders = [*(ranking(regions.scores[target][place]) for target in targets_), random]
            codes.append(
                np.stack(
                    [
                        curve_sequences(regions.codes[place], regions.draws[place], order, regions.counts)
                        for order in orders
                    ]
                )
            )
        [values] = _predict(predictor, [np.stack(codes)], f"curves of {len(block)} regions")
        means = values.mean(axis=4)  # of the draws: (T, block, orders, kinds, K)
        for t in range(len(targets_)):
            sums.curves[t][:, block] += means[t][:, [t, len(targets_)]].swapaxes(0, 1)


def _add_words(sums: _Sums, predictor: Predictor, regions: _Regions, own: Rows) -> None:
    length = regions.codes.shape[1]
    for place in own:
        if regions.planted is None or place not in regions.pairs:
            continue
        masks = [regions.planted.mask(place, length, (name,)) for name in regions.pairs[place]]
        codes = words.word_sequences(regions.codes[place], regions.draws[place], *masks)
        whole, parts = _predict(predictor, [regions.codes[place][None], codes], "planted words")
        sums.words[:, place] += np.concatenate([whole, parts.mean(axis=2)], axis=1)


def _jobs(job: ChunkJob, fold: str, settings: FaithfulnessSettings) -> list[tuple[str, ChunkJob]]:
    """What is attributed once more, by what it is for; the one that changes the model comes last."""
    own = dataclasses.replace(job, fold=fold, allow_incomplete=True)
    found = []
    if settings.stability and draws_references(job.method):
        references = dict(job.method.get("references") or {"kind": "dinucleotide_shuffle"})
        references["seed"] = int(references.get("seed", 0)) + 1
        found.append(("stability", dataclasses.replace(own, method={**job.method, "references": references})))
    return [*found, ("randomised", own)] if settings.randomised else found


def randomise(model: nn.Module, seed: int) -> None:
    """Put the numbers of every parameter into random order, in place: their distribution stays.

    Raises
    ------
    ModelError
        The model has no parameters to change.
    """
    rng = np.random.default_rng(seed)
    parameters = [p for p in model.parameters() if p.numel() > 1]
    if not parameters:
        raise ModelError("faithfulness.randomised: the model has no parameters; set randomised: false")
    with torch.no_grad():
        for parameter in parameters:
            order = torch.from_numpy(rng.permutation(parameter.numel())).to(parameter.device)
            parameter.copy_(parameter.reshape(-1)[order].reshape(parameter.shape))


def _add_attributions(
    sums: dict[str, Floats],
    found: Iterator[list[Attribution]],
    own: Rows,
    regions: _Regions,
    uncorrected: bool,
) -> None:
    done = 0
    for batch in found:
        rows = own[done : done + len(batch[0])]
        for target, result in zip(regions.scores, batch, strict=True):
            scores = result.local if uncorrected else result.hypothetical
            total = sums.setdefault(target, np.zeros(regions.codes.shape))
            total[rows] += (scores * result.sequences).sum(1).double().numpy()
        done += len(rows)


def _of_target(regions: _Regions, sums: _Sums, t: int, target: str) -> tuple[pd.DataFrame, ...]:
    """Rows of the three tables of one target."""
    n = len(regions.rows)
    curves = (sums.curves[t] / sums.count[:, None, None]).mean(axis=1)
    areas = area(curves, regions.counts)
    row: dict[str, Any] = {"target": target, "regions": n}
    table = []
    for (o, order), (k, kind) in product(enumerate(ORDERS), enumerate(KINDS)):
        row[kind if order == "scores" else f"{kind}_random"] = areas[o, k]
        shares = normalised(curves[o, k])
        values = zip(regions.counts, regions.counts / regions.counts[-1], curves[o, k], shares, strict=True)
        table += [(target, kind, order, *point) for point in values]
    for name, again in sums.again.items():
        found = pearson(regions.scores[target], again[target])
        low, middle, high = quartiles(found)
        row |= {name: middle, f"{name}_q1": low, f"{name}_q3": high}
        row[f"{name}_undefined"] = int(np.isnan(found).sum())
    return (
        pd.DataFrame([row], columns=FAITHFULNESS),
        pd.DataFrame(table, columns=CURVES),
        _words_of(regions, sums.words[t] / sums.count[:, None], target),
    )


def _words_of(regions: _Regions, values: Floats, target: str) -> pd.DataFrame:
    found, given = {}, {}
    for place, names in regions.pairs.items():
        assert regions.planted is not None
        found[place] = words.effects(*values[place])
        masks = (regions.planted.mask(place, regions.codes.shape[1], (name,)) for name in names)
        first, second = (float(regions.scores[target][place][mask].sum()) for mask in masks)
        given[place] = (first, second)
    table = words.word_table(regions.pairs, found, given)
    table.insert(0, "target", target)
    return table
