"""Training of a small model that tells peaks of several assays from the rest of the genome."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cislex import architectures
from cislex.errors import ConfigError, ModelError
from cislex.evaluation import evaluate
from cislex.genome import UNKNOWN, Genome, read_aliases
from cislex.logs import get_logger, progress
from cislex.models import resolve_device
from cislex.storage import atomic_path, write_table
from cislex.training_data import Windows, WindowSettings, draw_windows
from cislex.training_inputs import SPLITS, read_blacklist, read_positions, split_chromosomes

logger = get_logger(__name__)

#: Rows of the one-hot table: A, C, G, T, unknown.
_ONEHOT = torch.cat([torch.eye(4), torch.zeros(1, 4)])
assert UNKNOWN == 4
#: Windows per forward pass where nothing is learned.
EVALUATION_BATCH = 1024


@dataclass(frozen=True)
class Optimisation:
    """How the weights are fitted: AdamW, one cycle of the learning rate, binary cross-entropy.

    Attributes
    ----------
    epochs
        Passes over the training windows.
    batch_size
        Windows per step.
    learning_rate
        Peak of the one-cycle schedule.
    weight_decay
        Of AdamW.
    reverse_complement
        Flip half of the windows, anew at every pass.
    positive_weight
        Weight of a positive label in the loss.
    patience
        Stop after this many epochs without a better validation loss; None: never.
    """

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 5e-3
    weight_decay: float = 1e-4
    reverse_complement: bool = True
    positive_weight: float = 1.0
    patience: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "positive_weight"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected more than 0")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay is {self.weight_decay}; expected at least 0")
        if self.batch_size < 2:
            raise ConfigError("batch_size is 1; batch normalisation needs at least 2")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience is {self.patience}; expected at least 1, or null")


def train_model(
    fasta: str | Path,
    tasks: Mapping[str, str | Path],
    weights: str | Path,
    training: str | Path,
    evaluation: str | Path,
    *,
    windows: WindowSettings,
    optimisation: Optimisation,
    validation_chromosomes: Sequence[str],
    test_chromosomes: Sequence[str],
    exclude_chromosomes: Sequence[str] = (),
    architecture: str = "cnn",
    hyperparameters: Mapping[str, Any] | None = None,
    aliases: str | Path | None = None,
    blacklist: str | Path | None = None,
    fai: str | Path | None = None,
    gzi: str | Path | None = None,
    n_bootstrap: int = 200,
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
) -> None:
    """Train a model on whole chromosomes, keep its best epoch, and score it on held-out ones.

    Parameters
    ----------
    fasta
        Genome.
    tasks
        Peak file of each task, in the order of the model's logits.
    weights
        Written: the checkpoint, see ``save_checkpoint``.
    training
        Written: one row per epoch: ``epoch, train_loss, validation_loss, learning_rate, kept``.
    evaluation
        Written: one row per task and split, see :func:`cislex.evaluation.evaluate`.
    windows
        What makes a window positive or negative.
    optimisation
        How the weights are fitted.
    validation_chromosomes, test_chromosomes, exclude_chromosomes
        Whole chromosomes, named as in the genome: those that choose the epoch, those that are scored only,
        and those that are not used. The others train.
    architecture, hyperparameters
        See :func:`cislex.architectures.build`; the number of tasks and the input length are added.
    aliases, blacklist
        Table of chromosome names; BED of intervals that are not used.
    fai, gzi
        Index of the genome, see :class:`cislex.genome.Genome`.
    n_bootstrap
        Resamples of the confidence intervals.
    seed
        Seed of the windows, of the first weights and of the order; the same seed gives the same file on the
        same machine and number of threads.
    threads
        Threads of torch.
    device
        ``cpu``, ``cuda`` or ``auto``.

    Raises
    ------
    ConfigError, InputError
        Before training; nothing is written.
    """
    where = resolve_device(device)
    sizes = {"tasks": len(tasks), "input_length": windows.input_length}
    settings = {**(hyperparameters or {}), **sizes}
    with _reproducible(seed, threads, where):
        model = architectures.build(architecture, **settings)
        _require_logits(model, sizes)
        drawn = _draw(fasta, tasks, windows, validation_chromosomes, test_chromosomes, exclude_chromosomes,
                      aliases=aliases, blacklist=blacklist, fai=fai, gzi=gzi, seed=seed)  # fmt: skip
        table = fit(model.to(where), drawn["train"], drawn["validation"], optimisation, seed=seed)
        scores = [
            evaluate(labels, predicted, tasks=list(tasks), split=split, n_bootstrap=n_bootstrap, seed=seed)
            for split in ("validation", "test")
            for predicted, labels in [predict_windows(model, drawn[split], seed=seed)]
        ]
    scored = pd.concat(scores, ignore_index=True)
    for row in scored.itertuples():
        logger.info(
            "%s, %s: AUROC %.3f, AUPRC %.3f (%d of %d)",
            row.task,
            row.split,
            row.auroc,
            row.auprc,
            row.positives,
            row.n,
        )
    write_table(table, training)
    write_table(scored, evaluation)
    save_checkpoint(model, weights, architecture=architecture, hyperparameters=settings, tasks=list(tasks))


def fit(
    model: nn.Module, train: Windows, validation: Windows, optimisation: Optimisation, *, seed: int = 0
) -> pd.DataFrame:
    """Fit the model in place and leave it at the epoch with the lowest validation loss, in evaluation mode.

    Returns
    -------
    DataFrame
        One row per epoch: ``epoch`` (from 1), ``train_loss`` (mean over the epoch's batches),
        ``validation_loss``, ``learning_rate`` (at the epoch's end), ``kept`` (1 for the epoch kept).

    Raises
    ------
    ModelError
        When the loss is not finite.
    """
    rng = np.random.default_rng([seed, 1])
    steps = max(1, len(train) // optimisation.batch_size)  # a smaller last batch would unsettle batch norm
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=optimisation.learning_rate, weight_decay=optimisation.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=optimisation.learning_rate, total_steps=steps * optimisation.epochs + 1
    )
    rows: list[tuple[int, float, float, float]] = []
    best, best_epoch, best_state = float("inf"), 0, copy.deepcopy(model.state_dict())
    epochs = range(1, optimisation.epochs + 1)
    for epoch in progress(epochs, total=optimisation.epochs, label="train", unit="epochs"):
        model.train()
        losses = []
        for codes, labels in _batches(train, optimisation, steps, rng):
            optimiser.zero_grad(set_to_none=True)
            loss = _loss(model(to_onehot(codes, _device_of(model))), labels, optimisation)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        logits, truth = predict_windows(model, validation, seed=seed)
        validation_loss = _loss(torch.from_numpy(logits), truth, optimisation).item()
        if not np.isfinite([*losses, validation_loss]).all():
            raise ModelError(
                f"the loss is not finite in epoch {epoch}; lower learning_rate ({optimisation.learning_rate})"
            )
        rows.append((epoch, float(np.mean(losses)), validation_loss, float(schedule.get_last_lr()[0])))
        logger.info("epoch %d: loss %.4f, validation %.4f", epoch, rows[-1][1], validation_loss)
        if validation_loss < best:
            best, best_epoch, best_state = validation_loss, epoch, copy.deepcopy(model.state_dict())
        elif optimisation.patience is not None and epoch - best_epoch >= optimisation.patience:
            logger.info("no better validation loss for %d epochs: stopped", optimisation.patience)
            break
    model.load_state_dict(best_state)
    model.eval()
    logger.info("%d windows, %d epochs; epoch %d kept", len(train), len(rows), best_epoch)
    table = pd.DataFrame(rows, columns=["epoch", "train_loss", "validation_loss", "learning_rate"])
    return table.assign(kept=(table["epoch"] == best_epoch).astype(int))


def predict_windows(
    model: nn.Module, windows: Windows, *, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Logits of every window of a split, each at one fixed random shift, and the labels there.

    Returns
    -------
    logits
        float32 (N, tasks).
    labels
        uint8 (N, tasks).
    """
    rng = np.random.default_rng([seed, 2])
    shifts = rng.integers(-windows.jitter, windows.jitter + 1, size=len(windows))
    device = _device_of(model)
    model.eval()
    logits, labels = [], []
    with torch.inference_mode():
        for start in range(0, len(windows), EVALUATION_BATCH):
            rows = np.arange(start, min(start + EVALUATION_BATCH, len(windows)))
            codes, truth = windows.crop(rows, shifts[rows], np.zeros(len(rows), dtype=bool))
            logits.append(model(to_onehot(codes, device)).float().cpu().numpy())
            labels.append(truth)
    return np.concatenate(logits), np.concatenate(labels)


def to_onehot(codes: NDArray[np.uint8], device: torch.device) -> Tensor:
    """One-hot float32 (N, 4, L) of codes uint8 (N, L); unknown bases are zero."""
    indices = torch.from_numpy(np.ascontiguousarray(codes)).to(device, torch.int64)
    return _ONEHOT.to(device)[indices].transpose(1, 2).contiguous()


def save_checkpoint(
    model: nn.Module,
    path: str | Path,
    *,
    architecture: str,
    hyperparameters: Mapping[str, Any],
    tasks: Sequence[str],
) -> None:
    """Write ``{architecture, hyperparameters, tasks, input_length, state_dict}``, readable with weights_only.

    The same weights give the same bytes, whatever the file's name.
    """
    checkpoint = {
        "architecture": architecture,
        "hyperparameters": dict(hyperparameters),
        "tasks": list(tasks),
        "input_length": int(hyperparameters["input_length"]),
        "state_dict": {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()},
    }
    buffer = io.BytesIO()  # a path's name would become part of the archive
    torch.save(checkpoint, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _draw(
    fasta: str | Path,
    tasks: Mapping[str, str | Path],
    settings: WindowSettings,
    validation: Sequence[str],
    test: Sequence[str],
    exclude: Sequence[str],
    *,
    aliases: str | Path | None,
    blacklist: str | Path | None,
    fai: str | Path | None,
    gzi: str | Path | None,
    seed: int,
) -> dict[str, Windows]:
    """Windows of every split."""
    if not tasks:
        raise ConfigError("tasks is empty; name at least one peak file")
    names = read_aliases(aliases)
    drawn = {}
    with Genome(fasta, fai=fai, gzi=gzi) as genome:
        splits = split_chromosomes(genome.lengths, validation=validation, test=test, exclude=exclude)
        positions = {
            task: read_positions(path, genome, task=task, aliases=names) for task, path in tasks.items()
        }
        avoid = read_blacklist(blacklist, aliases=names)
        for i, split in enumerate(SPLITS):
            rng = np.random.default_rng([seed, 0, i])
            drawn[split] = draw_windows(
                genome, positions, splits[split], settings, split=split, blacklist=avoid, rng=rng
            )
            counts = drawn[split].labels[:, settings.jitter].sum(axis=0)
            logger.info(
                "%s: %d windows, positive: %s", split, len(drawn[split]),
                ", ".join(f"{task} {count}" for task, count in zip(tasks, counts, strict=True)),
            )  # fmt: skip
    return drawn


def _loss(logits: Tensor, labels: NDArray[np.uint8], optimisation: Optimisation) -> Tensor:
    """Mean binary cross-entropy over windows and tasks."""
    truth = torch.from_numpy(labels).to(logits)
    weight = torch.tensor(optimisation.positive_weight).to(logits)
    return nn.functional.binary_cross_entropy_with_logits(logits, truth, pos_weight=weight)


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _batches(
    windows: Windows, optimisation: Optimisation, steps: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """One pass over the windows in random order, shifted and flipped anew: codes and labels."""
    order = rng.permutation(len(windows))
    shifts = rng.integers(-windows.jitter, windows.jitter + 1, size=len(windows))
    flipped = (
        rng.random(len(windows)) < 0.5
        if optimisation.reverse_complement
        else np.zeros(len(windows), dtype=bool)
    )
    for step in range(steps):
        rows = order[step * optimisation.batch_size : (step + 1) * optimisation.batch_size]
        yield windows.crop(rows, shifts[rows], flipped[rows])


def _require_logits(model: nn.Module, sizes: Mapping[str, int]) -> None:
    """Refuse an architecture that returns something else than logits (N, tasks)."""
    with torch.inference_mode():
        output = model.eval()(torch.zeros(2, 4, sizes["input_length"]))
    if not isinstance(output, Tensor) or output.shape != (2, sizes["tasks"]):
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ConfigError(
            f"training needs logits (N, {sizes['tasks']}); the architecture returns {found}: "
            "profile must be off"
        )


@contextmanager
def _reproducible(seed: int, threads: int, device: torch.device) -> Iterator[None]:
    """Seed torch and set its threads; afterwards both are as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
