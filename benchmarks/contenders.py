"""What is measured: every contender does one task on the same regions and references."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import architectures
from cislex.attribution import (
    ISM,
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    FixedReferences,
    attribute,
    attribute_batches,
    make_references,
)

Run = Callable[[], Any]


@dataclass(frozen=True)
class Task:
    """Regions of one model, and their references."""

    model: str
    regions: int
    references: int = 20
    window: int = 100
    device: str = "cpu"

    @cached_property
    def network(self) -> nn.Module:
        """The model."""
        return architectures.make(self.model, self.device)

    @cached_property
    def x(self) -> Tensor:
        """(N, 4, L) uint8."""
        length = architectures.MODELS[self.model][1]
        index = torch.randint(0, 4, (self.regions, 1, length), generator=torch.Generator().manual_seed(0))
        return torch.zeros(self.regions, 4, length, dtype=torch.uint8).scatter_(1, index, 1)

    @cached_property
    def refs(self) -> Tensor:
        """(N, R, 4, L) uint8."""
        return make_references(DinucleotideShuffle(n=self.references), self.x)

    @property
    def middle(self) -> tuple[int, int]:
        """The window of mutagenesis."""
        start = (self.x.shape[2] - self.window) // 2
        return start, start + self.window


def prepare(name: str, task: Task, now: Callable[[], float]) -> Run:
    """Make a contender, named ``kind`` or ``kind:option``; calling it does the task once.

    One that measures its own seconds, by the clock ``now``, returns them in a dictionary.
    """
    kind, _, option = name.partition(":")
    if kind in _CLOCKED:
        return _CLOCKED[kind](task, option, now)
    return _CONTENDERS[kind](task, option)


def _cislex(task: Task, option: str) -> Run:
    """Engine with its own batch size; the option is a precision, a rule or a batch size."""
    rule = option if option in ("reveal_cancel", "genomics_default") else "rescale"
    precision = option if option in ("bfloat16", "tf32", "float64") else "float32"
    size = int(option) if option.isdigit() else None
    method = DeepLiftShap(FixedReferences(task.refs), rule=rule)
    return lambda: attribute(
        task.network, task.x, method, device=task.device, precision=precision, batch_size=size
    )


def _further(task: Task, option: str, now: Callable[[], float]) -> Run:
    """The regions after the first batch, with which a job tries the model, as if all were like them."""
    method = DeepLiftShap(FixedReferences(task.refs))

    def run() -> dict[str, float]:
        done, begin = 0, 0.0
        for rows, _ in attribute_batches(task.network, task.x, method, [0], device=task.device):
            if not done:
                done, begin = rows.stop, now()
        if done == task.regions:
            raise ValueError(f"{task.regions} regions are one batch: more are needed")
        return {"seconds": (now() - begin) * task.regions / (task.regions - done)}

    return run


def _whole(task: Task, option: str) -> Run:
    """With references made on the way, as a user calls it."""
    method = DeepLiftShap(DinucleotideShuffle(n=task.references))
    return lambda: attribute(task.network, task.x, method, device=task.device)


def _shuffles(task: Task, option: str) -> Run:
    return lambda: make_references(DinucleotideShuffle(n=task.references), task.x)


def _plain(task: Task, option: str) -> Run:
    """Forward and input gradient of the same rows, nothing else."""
    size, rows = int(option), task.refs.flatten(0, 1)

    def run() -> None:
        for start in range(0, len(rows), size):
            leaf = rows[start : start + size].to(task.device).float().requires_grad_()
            torch.autograd.grad(task.network(leaf)[:, 0].sum(), leaf)

    return run


def _tangermeme(task: Task, option: str) -> Run:
    from tangermeme.deep_lift_shap import deep_lift_shap

    x, refs = task.x.float(), task.refs.float()

    def run() -> None:
        with warnings.catch_warnings():  # where it has no rule, time is all that is compared
            warnings.simplefilter("ignore")
            deep_lift_shap(task.network, x, references=refs, device=task.device, batch_size=int(option))

    return run


def _captum(task: Task, option: str) -> Run:
    """Captum takes all references of an example at once."""
    from captum.attr import DeepLiftShap as Captum

    x, refs = task.x.float().to(task.device), task.refs.float().to(task.device)
    explainer = Captum(task.network)

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for i in range(len(x)):
                explainer.attribute(x[i : i + 1], refs[i], target=0)

    return run


def _cherimoya(task: Task, option: str) -> Run:
    """Cherimoya's own engine, written for this architecture alone."""
    from cherimoya._deep_lift_shap_engine import Engine

    size = int(option) if option else None
    engine = Engine(
        task.network.model, device=task.device, n_shuffles=task.references, warning_threshold=None,
        seqs_per_step=size,
    )  # fmt: skip
    return lambda: engine.run(task.x, task.refs)


def _gradient(task: Task, option: str) -> Run:
    """One forward and one backward of the regions themselves."""
    size = int(option)

    def run() -> None:
        for start in range(0, len(task.x), size):
            leaf = task.x[start : start + size].to(task.device).float().requires_grad_()
            torch.autograd.grad(task.network(leaf)[:, 0].sum(), leaf)

    return run


def _tism(task: Task, option: str) -> Run:
    size = int(option) if option else None
    return lambda: attribute(task.network, task.x, TISM(), device=task.device, batch_size=size).tism


def _ism(task: Task, option: str) -> Run:
    start, end = task.middle
    return lambda: attribute(task.network, task.x, ISM(start=start, end=end), device=task.device)


def _naive(task: Task, option: str) -> Run:
    """The loop that everybody writes: mutate, predict in batches, subtract."""
    size, (start, end) = int(option), task.middle

    def run() -> Tensor:
        effects = torch.zeros(task.x.shape)
        with torch.no_grad():
            for i, row in enumerate(task.x.float()):
                before = task.network(row.unsqueeze(0).to(task.device))[0, 0].cpu()
                base, position = (row[:, start:end] == 0).nonzero(as_tuple=True)
                position = position + start
                for first in range(0, len(base), size):
                    b, p = base[first : first + size], position[first : first + size]
                    mutants = row.repeat(len(b), 1, 1)
                    at = torch.arange(len(b))
                    mutants[at, :, p] = 0
                    mutants[at, b, p] = 1
                    effects[i, b, p] = task.network(mutants.to(task.device))[:, 0].cpu() - before
        return effects

    return run


def _tangermeme_ism(task: Task, option: str, now: Callable[[], float]) -> Run:
    """``saturation_mutagenesis``, the option is ``fast``, ``rest`` or ``slow``, and a batch size.

    ``fast`` is made to engage, which it does by itself for jobs of 30 s and more. It exports and checks the
    model in each call; for ``rest`` that is left out: seconds are those of its predictions alone.
    """
    from tangermeme import saturation_mutagenesis as module

    mode, _, size = option.partition("-")
    module._FAST_MIN_SECONDS = 0.0
    x = task.x.float()
    start, end = task.middle
    predict = module._FastISM.predict_edits
    calls: list[float] = []

    def timed(self: Any, i: int, chars: Tensor, *rest: Any) -> Any:
        begin = now()
        found = predict(self, i, chars, *rest)
        calls.append((now() - begin) / len(chars))
        return found

    def run() -> dict[str, float]:
        begin = now()
        module._FastISM.predict_edits = timed
        module.saturation_mutagenesis(
            task.network, x, start=start, end=end, device=task.device, batch_size=int(size),
            fast=mode != "slow", raw_outputs=True,
        )  # fmt: skip
        module._FastISM.predict_edits = predict
        whole = now() - begin
        return {"seconds": calls[-1] * 3 * task.window if mode == "rest" else whole}

    return run


_CONTENDERS: dict[str, Callable[[Task, str], Run]] = {
    "cislex": _cislex,
    "whole": _whole,
    "shuffles": _shuffles,
    "plain": _plain,
    "tangermeme": _tangermeme,
    "captum": _captum,
    "cherimoya": _cherimoya,
    "gradient": _gradient,
    "tism": _tism,
    "ism": _ism,
    "naive": _naive,
}

#: Those that measure their own seconds.
_CLOCKED: dict[str, Callable[[Task, str, Callable[[], float]], Run]] = {
    "tangermeme_ism": _tangermeme_ism,
    "further": _further,
}


def error(task: Task, precision: str) -> float:
    """Largest error of the first region's hypothetical scores against float64, relative to the largest."""
    method = DeepLiftShap(FixedReferences(task.refs[:1]))
    truth, found = (
        attribute(task.network, task.x[:1], method, device=task.device, precision=p).hypothetical
        for p in ("float64", precision)
    )
    return float((found - truth).abs().max() / truth.abs().max())
