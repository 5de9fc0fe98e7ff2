"""Evolve sequences by a model: one job, block by block with a checkpoint; a table, a FASTA file, arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cislex.chunks.filling import Batch, fill_checkpoint
from cislex.design.constraints import (
    Constraints,
    ConstraintSettings,
    make_constraints,
    mismatches,
)
from cislex.design.guides import Ensemble, guide_from_settings, make_ensemble, rounding_of
from cislex.design.records import EvolutionFiles, pack, write_results
from cislex.design.starts import Starts, StartSettings, kept_in_bed, make_starts
from cislex.design.walk import Objective, WalkSettings, evolve
from cislex.errors import ConfigError
from cislex.files.checkpoint import Checkpoint, partial_path
from cislex.logs import get_logger
from cislex.models.loading import check_model, load_model
from cislex.provenance import code_digest, digest_strings, versions
from cislex.runtime.devices import claim
from cislex.targets import targets

#: Sequences of a block, after which the checkpoint is written, and values that their states keep, at most:
#: they bound memory and what a stopped job loses, not results.
BLOCK, BLOCK_VALUES = 256, 1 << 26
logger = get_logger("design")


@dataclass(frozen=True, kw_only=True)
class EvolutionJob:
    """What to evolve and how, all plain values.

    Parameters
    ----------
    length
        Input length of the model in bp.
    targets
        Settings of each target by name.
    target, against
        Names of the target that is raised or lowered, None for the first, and of one that is subtracted.
    direction
        ``up`` or ``down``.
    guide
        ``name`` and options of the guide, see :func:`cislex.design.guides.guide_from_settings`.
    rounds, beam
        See :class:`cislex.design.walk.WalkSettings`.
    start, constraints
        Fields of :class:`cislex.design.starts.StartSettings` and
        :class:`cislex.design.constraints.ConstraintSettings`.
    precision, reverse_complement, allow_incomplete
        See :func:`cislex.attribution.attribute`.
    seed
        Of the references.
    """

    length: int
    targets: Mapping[str, Mapping[str, Any]]
    guide: Mapping[str, Any]
    start: Mapping[str, Any]
    target: str | None = None
    against: str | None = None
    direction: str = "up"
    rounds: int = 20
    beam: int = 1
    constraints: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    precision: str = "float32"
    reverse_complement: bool = False
    allow_incomplete: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.direction not in ("up", "down"):
            raise ConfigError(f"direction: found {self.direction!r}, expected up or down")
        for key in ("target", "against"):
            name = getattr(self, key)
            if name is not None and name not in self.targets:
                raise ConfigError(f"{key}: found {name!r}, expected one of {', '.join(self.targets)}")
        if self.against == (self.target or next(iter(self.targets))):
            raise ConfigError(f"against: {self.against} is the target itself; expected another one")
        guide_from_settings(self.guide)

    @property
    def objective(self) -> Objective:
        """What is raised or lowered, by number."""
        names = list(self.targets)
        against = None if self.against is None else names.index(self.against)
        return Objective(0 if self.target is None else names.index(self.target), against)

    @property
    def walk(self) -> WalkSettings:
        """How sequences are edited."""
        return WalkSettings(
            rounds=self.rounds,
            beam=self.beam,
            greedy=self.guide["name"] == "greedy",
            down=self.direction == "down",
            rounding=rounding_of(self.guide),
        )


def evolve_sequences(
    weights: Mapping[str, str | Path],
    files: EvolutionFiles,
    job: EvolutionJob,
    *,
    model: Mapping[str, Any],
    sequences: str | Path | None = None,
    predictions: str | Path | None = None,
    fasta: str | Path | None = None,
    keep: str | Path | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    threads: int = 1,
    deadline: float | None = None,
) -> None:
    """Evolve sequences and write where they went; a job that was stopped goes on where it was.

    Parameters
    ----------
    weights, model
        Weights of each fold, and the other settings of :func:`cislex.models.loading.load_model`. The
        objective is the mean over the folds.
    files
        Written.
    job
        What to evolve and how.
    sequences, predictions, fasta
        Where sequences start, see :func:`cislex.design.starts.make_starts`.
    keep
        BED file of positions that stay, see :func:`cislex.design.starts.kept_in_bed`.
    batch_size
        Example-reference pairs, and sequences, at once; chosen where it is None.
    device, threads, deadline
        See :func:`cislex.insertions.chunk.insert_chunk`.

    Raises
    ------
    ConfigError, InputError, ModelError, StorageError, DeadlineError
        Nothing is left under the final names.
    """
    torch.set_num_threads(threads)
    starts = make_starts(
        StartSettings(**job.start),
        job.length,
        sequences=sequences,
        predictions=predictions,
        fasta=fasta,
        objective=(list(job.targets), job.objective),
    )
    further = None if keep is None else kept_in_bed(keep, starts)
    limits = make_constraints(ConstraintSettings(**job.constraints), starts.codes, starts.names, further)
    _tell_forbidden(starts, limits)
    wanted = list(targets.all_from_config(job.targets).values())
    with claim(device) as where:
        loaded = {fold: load_model(weights=path, **model) for fold, path in weights.items()}
        for one in loaded.values():
            check_model(one, job.length)
        ensemble = make_ensemble(
            [one.model for one in loaded.values()],
            job.length,
            targets=wanted,
            objective=job.objective,
            guide=job.guide,
            down=job.direction == "down",
            device=where,
            precision=job.precision,
            reverse_complement=job.reverse_complement,
            batch_size=batch_size,
            allow_incomplete=job.allow_incomplete,
        )
        identity = _identity(job, starts, limits, {fold: one.digest for fold, one in loaded.items()})
        kept = digest_strings(str(np.flatnonzero(one.kept).tolist()) for one in limits)
        whole = {**identity, "kept": kept, "code": code_digest(), "versions": versions()}
        with Checkpoint(partial_path(files.arrays), whole) as log:
            if log.rows:
                logger.info("resuming: %d of %d sequences are already done", log.rows, len(starts.codes))
            work = _blocks(starts, limits, ensemble, job, log.rows)
            fill_checkpoint(log, work, len(starts.codes), label="evolve", unit="sequences", deadline=deadline)
            write_results(log, starts, list(job.targets), job.objective, files, identity)
            log.remove()


def _identity(
    job: EvolutionJob, starts: Starts, limits: Sequence[Constraints], models: Mapping[str, str]
) -> dict[str, Any]:
    """What the results depend on, as attributes."""
    fields = dataclasses.asdict(job)
    del fields["allow_incomplete"]  # changes no number
    return {
        **fields,
        "target": list(job.targets)[job.objective.target],
        "against": job.against or "",
        "models": dict(models),
        "starts": starts.digest(),
        "kept_positions": int(sum(one.kept.sum() for one in limits)),
    }


def _tell_forbidden(starts: Starts, limits: list[Constraints]) -> None:
    """Warn of starts that have a forbidden string already."""
    patterns = limits[0].settings.patterns if limits else []
    found = sum(any((mismatches(one, codes) == 0).any() for one in patterns) for codes in starts.codes)
    if found:
        logger.warning(
            "%d of %d sequences have a forbidden string from the start: it stays where no edit breaks it",
            found, len(starts.codes),
        )  # fmt: skip


def _blocks(
    starts: Starts, limits: list[Constraints], ensemble: Ensemble, job: EvolutionJob, kept: int
) -> Iterator[Batch]:
    """Walks of the sequences after the first ``kept``, as many at once as memory takes."""
    step = max(1, min(BLOCK, BLOCK_VALUES // (job.length * job.beam * (job.rounds + 5))))
    seeds = starts.seeds(job.seed)
    for first in range(kept, len(starts.codes), step):
        rows = slice(first, first + step)
        found = evolve(
            starts.codes[rows],
            seeds[rows],
            limits[rows],
            ensemble.score,
            ensemble.predict,
            job.objective,
            job.walk,
        )
        yield len(found), pack(found, job.rounds), {}
