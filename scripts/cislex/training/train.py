"""Training of a small model on examples of any source, with any head, and its scores on held-out ones."""

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

from cislex.errors import ConfigError, InputError, ModelError, offenders
from cislex.files.tables import atomic_path, write_table
from cislex.logs import get_logger, progress
from cislex.metrics import SCORES, SIGNAL_SCORES, RankedLabels
from cislex.models import architectures
from cislex.regions.genome import UNKNOWN
from cislex.runtime.devices import resolve_device
from cislex.training.heads import Head, LossSettings, make_head
from cislex.training.held_out import describe_held_out, evaluation_shifts, write_held_out
from cislex.training.inputs import SPLITS
from cislex.training.sources import Source, truth_of
from cislex.training.windows import Examples

logger = get_logger(__name__)

#: Rows of the one-hot table: A, C, G, T, unknown.
_ONEHOT = torch.cat([torch.eye(4), torch.zeros(1, 4)])
assert UNKNOWN == 4
#: Windows per forward pass where nothing is learned.
EVALUATION_BATCH = 1024
#: Heads whose outputs have an AUPRC.
CLASSIFIERS = ("sigmoid", "softmax")


@dataclass(frozen=True)
class Optimisation:
    """How the weights are fitted: AdamW and one cycle of the learning rate.

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
    patience
        Stop after this many epochs without a better one; None: never.
    keep_epoch
        What makes an epoch better, and the best is kept: ``loss``, a lower validation loss; ``auprc``, of
        classifiers, a higher AUPRC on the validation windows, mean over the tasks. The loss judges
        probabilities, which are off where training has another share of positives; the AUPRC judges ranks.
    """

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 5e-3
    weight_decay: float = 1e-4
    reverse_complement: bool = True
    patience: int | None = None
    keep_epoch: str = "loss"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected more than 0")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay is {self.weight_decay}; expected at least 0")
        if self.batch_size < 2:
            raise ConfigError("batch_size is 1; batch normalisation needs at least 2")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience is {self.patience}; expected at least 1, or null")
        if self.keep_epoch not in ("loss", "auprc"):
            raise ConfigError(f"keep_epoch is {self.keep_epoch!r}; expected loss or auprc")


def train_model(
    source: Source,
    weights: str | Path,
    training: str | Path,
    evaluation: str | Path,
    held_out: str | Path,
    *,
    loss: LossSettings,
    optimisation: Optimisation,
    architecture: str = "cnn",
    hyperparameters: Mapping[str, Any] | None = None,
    n_bootstrap: int = 200,
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
) -> None:
    """Train a model, keep its best epoch, and score it on examples that were held out.

    Parameters
    ----------
    source
        Where examples come from, see :mod:`cislex.training.sources`.
    weights
        Written: the checkpoint, see ``save_checkpoint``.
    training
        Written: one row per epoch, see :func:`fit`.
    evaluation
        Written: one row per output and split, see :mod:`cislex.metrics`.
    held_out
        Written (gzip): one row per held-out window, see ``cislex.training.held_out``.
    loss
        What the model's output means and how errors are weighed.
    optimisation
        How the weights are fitted.
    architecture, hyperparameters
        See :func:`cislex.models.architectures.build`; the number of tasks and the input length are added.
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
    tasks = source.outputs
    sizes = {"tasks": len(tasks), "input_length": source.input_length}
    settings = {**(hyperparameters or {}), **sizes}
    if optimisation.keep_epoch == "auprc" and loss.head not in CLASSIFIERS:
        raise ConfigError(
            f"keep_epoch: auprc is only valid with head {' or '.join(CLASSIFIERS)}, not {loss.head}"
        )
    with _reproducible(seed, threads, where):
        model = architectures.build(architecture, **settings)
        _require_output(model, sizes, loss.head)
        drawn = source.draw(seed)
        head = make_head(loss, truth_of(drawn["train"]), tasks)
        table = fit(model.to(where), drawn["train"], drawn["validation"], optimisation, head=head, seed=seed)
        options: dict[str, Any] = {"tasks": list(tasks), "n_bootstrap": n_bootstrap, "seed": seed}
        scores, rows = [], []
        for split in SPLITS[1:]:
            output, truth = predict_windows(model, drawn[split], seed=seed)
            scores.append(head.evaluate(output, truth, split=split, **options))
            rows.append(describe_held_out(drawn[split], *head.values(output, truth), split=split, seed=seed))
    scored = pd.concat(scores, ignore_index=True)
    for row in scored.to_dict("records"):
        values = [f"{name} {row[name]:.3f}" for name in (*SCORES[:2], *SIGNAL_SCORES[:2]) if name in row]
        logger.info("%s, %s (%d windows): %s", row["task"], row["split"], row["n"], ", ".join(values))
    write_table(table, training)
    write_table(scored, evaluation)
    write_held_out(pd.concat(rows, ignore_index=True), held_out)
    save_checkpoint(
        model, weights, architecture=architecture, hyperparameters=settings, tasks=tasks, head=loss.head
    )


def fit(
    model: nn.Module,
    train: Examples,
    validation: Examples,
    optimisation: Optimisation,
    *,
    head: Head,
    seed: int = 0,
) -> pd.DataFrame:
    """Fit the model in place and leave it at its best epoch (``keep_epoch``), in evaluation mode.

    Returns
    -------
    DataFrame
        One row per epoch: ``epoch`` (from 1), ``train_loss`` (mean over the epoch's batches),
        ``validation_loss``, ``learning_rate`` (at the epoch's end), ``kept`` (1 for the epoch kept); where
        the AUPRC decides, ``validation_auprc`` after the loss.

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
    by_auprc = optimisation.keep_epoch == "auprc"
    rows: list[dict[str, float]] = []
    best, best_epoch, best_state = float("inf"), 0, copy.deepcopy(model.state_dict())
    epochs = range(1, optimisation.epochs + 1)
    for epoch in progress(epochs, total=optimisation.epochs, label="train", unit="epochs"):
        model.train()
        losses = []
        for codes, truth in _batches(train, optimisation, steps, rng):
            optimiser.zero_grad(set_to_none=True)
            loss = head.loss(model(to_onehot(codes, _device_of(model))), truth)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        predicted = predict_windows(model, validation, seed=seed)
        validation_loss = head.loss(*predicted).item()
        if not np.isfinite([*losses, validation_loss]).all():
            raise ModelError(
                f"the loss is not finite in epoch {epoch}; lower learning_rate ({optimisation.learning_rate})"
            )
        auprc = {"validation_auprc": _mean_auprc(head, *predicted)} if by_auprc else {}
        values = {"train_loss": float(np.mean(losses)), "validation_loss": validation_loss, **auprc}
        rows.append({"epoch": epoch, **values, "learning_rate": float(schedule.get_last_lr()[0])})
        logger.info("epoch %d: loss %.4f, validation %.4f", epoch, values["train_loss"], validation_loss)
        judged = -auprc["validation_auprc"] if by_auprc else validation_loss
        if judged < best:
            best, best_epoch, best_state = judged, epoch, copy.deepcopy(model.state_dict())
        elif optimisation.patience is not None and epoch - best_epoch >= optimisation.patience:
            logger.info(
                "validation %s did not improve for %d epochs: stopped",
                optimisation.keep_epoch,
                optimisation.patience,
            )
            break
    model.load_state_dict(best_state)
    model.eval()
    logger.info("%d windows, %d epochs; epoch %d kept", len(train), len(rows), best_epoch)
    table = pd.DataFrame(rows)
    return table.assign(kept=(table["epoch"] == best_epoch).astype(int))


def _mean_auprc(head: Head, output: Any, truth: NDArray[Any]) -> float:
    """AUPRC of a classifier on the windows of a split, mean over its tasks."""
    labels, scores = head.values(output, truth)
    lacking = [i for i, column in enumerate(labels.T) if column.all() or not column.any()]
    if lacking:
        raise InputError(
            f"keep_epoch auprc: all or none of the {len(labels)} validation windows are positive in output "
            f"{offenders(lacking)}; choose other validation windows, or keep_epoch: loss"
        )
    pairs = zip(labels.T, scores.T, strict=True)
    return float(np.mean([RankedLabels(truth == 1, score).areas()[1] for truth, score in pairs]))


def predict_windows(model: nn.Module, windows: Examples, *, seed: int = 0) -> tuple[Any, NDArray[Any]]:
    """Output for every window of a split, each at one fixed random shift, and the truth there.

    Returns
    -------
    output
        As the model returns it for all windows at once, float32 on the CPU.
    truth
        (N, tasks, …).
    """
    shifts = evaluation_shifts(windows, seed)
    device = _device_of(model)
    model.eval()
    outputs, truths = [], []
    with torch.inference_mode():
        for start in range(0, len(windows), EVALUATION_BATCH):
            rows = np.arange(start, min(start + EVALUATION_BATCH, len(windows)))
            codes, truth = windows.crop(rows, shifts[rows], np.zeros(len(rows), dtype=bool))
            outputs.append(model(to_onehot(codes, device)))
            truths.append(truth)
    return _concatenate(outputs), np.concatenate(truths)


def _concatenate(outputs: list[Any]) -> Any:
    if isinstance(outputs[0], Mapping):
        return {key: _concatenate([output[key] for output in outputs]) for key in outputs[0]}
    return torch.cat([output.float().cpu() for output in outputs])


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
    head: str = "sigmoid",
) -> None:
    """Write ``{architecture, hyperparameters, tasks, head, input_length, state_dict}``.

    It is readable with ``weights_only``; ``head`` says how the output was fitted, see
    :mod:`cislex.training.heads`.

    The same weights give the same bytes, whatever the file's name.
    """
    checkpoint = {
        "architecture": architecture,
        "hyperparameters": dict(hyperparameters),
        "tasks": list(tasks),
        "head": head,
        "input_length": int(hyperparameters["input_length"]),
        "state_dict": {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()},
    }
    buffer = io.BytesIO()  # a path's name would become part of the archive
    torch.save(checkpoint, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _batches(
    windows: Examples, optimisation: Optimisation, steps: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any]]]:
    """One pass over the windows in random order, shifted and flipped anew: codes and truth."""
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


def _require_output(model: nn.Module, sizes: Mapping[str, int], head: str) -> None:
    """Refuse an architecture that returns something else than the head reads."""
    with torch.inference_mode():
        output = model.eval()(torch.zeros(2, 4, sizes["input_length"]))
    n = sizes["tasks"]
    if head == "profile":
        fits = isinstance(output, Mapping) and {"profile", "counts"} <= set(output)
        fits = fits and output["counts"].shape == (2, n) and output["profile"].shape[:2] == (2, n)
        expected, advice = f"a profile (N, {n}, positions) and counts (N, {n})", "profile must be on"
    else:
        fits = isinstance(output, Tensor) and output.shape == (2, n)
        expected, advice = f"(N, {n})", "profile must be off"
    if not fits:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ConfigError(f"head {head} needs {expected}; the architecture returns {found}: {advice}")


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
