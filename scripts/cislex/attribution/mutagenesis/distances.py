"""In-silico mutagenesis of many outputs at once, summarised by the distance that a substitution moves them.

d(a at i) = ‖F(x with a at i) − F(x)‖₂ with F the vector of outputs, as maps of DeepSEA-like models with many
outputs are drawn; all outputs come from the same forward passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack

import torch
from torch import Tensor

from cislex.attribution.gradients.gradients import take_rows
from cislex.attribution.mutagenesis.ism import mutations
from cislex.attribution.mutagenesis.mutants import Measured, none_of, one_hot, prepare
from cislex.attribution.options import DeviceOptions
from cislex.errors import ConfigError, ModelError
from cislex.targets import Output, Target, as_target, select_head

#: The vector of outputs: a function of the model's output, a list of targets, or a head (None: the only one).
Outputs = Callable[[Any], Tensor] | Sequence[Target | int] | int | str | None


@dataclass(frozen=True)
class Distances:
    """How far each substitution moves the vector of outputs; torch tensors on the CPU.

    Examples
    --------
    >>> found = ism_distances(profile_model, sequences)
    >>> bool((found.distance[sequences == 1] == 0).all())  # of the bases that are there
    True
    """

    #: (N, 4, L): ‖F(mutant) − F(x)‖₂; zero at own and unknown bases and outside of the window.
    distance: Tensor
    #: (N, 4, L) bool: the substitutions that were computed.
    mutated: Tensor
    #: Facts worth recording: precision, fallbacks taken.
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def z(self) -> Tensor:
        """(N, 4, L): z-score of each position over its four bases, the own base being at distance zero.

        Tells which substitutions matter more than others at the same position, whatever the position's own
        weight. Zero where the four are equal, at unknown bases and outside of the window.
        """
        scores = self.distance - self.distance.mean(1, keepdim=True)
        spread = scores.square().mean(1, keepdim=True).sqrt()
        return torch.where(spread > 0, scores / spread.clamp_min(torch.finfo(scores.dtype).tiny), 0)

    @property
    def z_over_positions(self) -> Tensor:
        """(N, 4, L): z-score of each substitution over all that were computed of the example.

        Compares positions with each other; zero where nothing was mutated.
        """
        known = self.mutated.to(self.distance.dtype)
        count = known.sum((1, 2), keepdim=True).clamp_min(1)
        scores = (self.distance - (self.distance * known).sum((1, 2), keepdim=True) / count) * known
        spread = (scores.square().sum((1, 2), keepdim=True) / count).sqrt()
        return torch.where(spread > 0, scores / spread.clamp_min(torch.finfo(scores.dtype).tiny), 0)

    @property
    def position_score(self) -> Tensor:
        """(N, L): mean distance of the substitutions of each position; zero where there are none."""
        return self.distance.sum(1) / self.mutated.sum(1).clamp_min(1)


def ism_distances(
    model: Any,
    sequences: Any,
    *,
    outputs: Outputs = None,
    start: int = 0,
    end: int | None = None,
    progress: bool = False,
    **options: Unpack[DeviceOptions],
) -> Distances:
    """Euclidean distance over outputs of every substitution in a window.

    Parameters
    ----------
    model, sequences, extra_inputs, device, precision
        See :func:`cislex.attribution.attribute`. Unknown bases are not mutated.
    outputs
        Which outputs make the vector: a function output → (N, D), a list of targets or indices, or the head
        of a model that returns several (position or key), all of whose entries are taken.
    start, end
        The window, half-open; None is L.
    batch_size
        Mutants at once; chosen when None, halved when memory is short.
    progress
        Show progress.

    Raises
    ------
    InputError, ConfigError, ModelError
        Naming what was found and what was expected.

    Examples
    --------
    >>> ism_distances(profile_model, sequences).distance.shape
    torch.Size([4, 4, 60])
    """
    vector = _vector(outputs)

    def begin(originals: Any, n: int) -> Measured:
        before = _rows(vector(originals), n)

        def effects(output: Any, example: Tensor) -> Tensor:
            after = _rows(vector(output), len(example))
            return torch.linalg.vector_norm(after - take_rows(before, example), dim=1).unsqueeze(0)

        size = torch.linalg.vector_norm(before, dim=1)
        return Measured(size.unsqueeze(0), size.amax(0, keepdim=True), effects)

    run, _ = prepare(
        model, sequences, Output(0), measure=begin, **options, progress="ISM distances" if progress else None,
    )  # fmt: skip
    length = run.codes.shape[1]
    mutations(one_hot(run.codes[:1]), start, end)  # refuses a window outside of the sequences
    stop = length if end is None else end
    parts, computed = [none_of(run, 4, length).squeeze(-1)], [torch.zeros((0, 4, length), dtype=torch.bool)]
    with run.prepared.active():
        for block in run.blocks(3 * (stop - start)):
            example, position, base = mutations(one_hot(block.codes), start, end)
            new = base.to(torch.uint8).unsqueeze(1)

            def make(
                jobs: slice, example: Tensor = example, position: Tensor = position, new: Tensor = new
            ) -> tuple[Tensor, Tensor, Tensor]:
                return example[jobs], position[jobs], new[jobs]

            effects = block.effects(len(example), make)
            parts.append(effects.new_zeros((len(block.codes), 4, length)))
            parts[-1][example, base, position] = effects[:, 0]
            computed.append(parts[-1].new_zeros(parts[-1].shape, dtype=torch.bool))
            computed[-1][example, base, position] = True
    return Distances(torch.cat(parts), torch.cat(computed), run.notes)


def _vector(outputs: Outputs) -> Callable[[Any], Tensor]:
    """Function of the model's output that gives (B, D)."""
    if callable(outputs):
        return outputs
    if outputs is None or isinstance(outputs, int | str):
        return lambda output: select_head(output, outputs).flatten(1)
    targets = [as_target(target) for target in outputs]
    if not targets:
        raise ConfigError("outputs: found an empty list, expected at least one target")
    if any(hasattr(target, "bind") for target in targets):
        raise ConfigError(
            "outputs: found a target whose weights depend on the pair of sequences; expected targets that "
            "need no reference, such as Profile(weights='secant')"
        )
    return lambda output: torch.stack([target(output) for target in targets], 1)


def _rows(values: Any, n: int) -> Tensor:
    """Check what a function of the user's returned."""
    if not isinstance(values, Tensor) or values.ndim != 2 or len(values) != n:
        found = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise ModelError(f"outputs: found {found} for {n} sequences, expected ({n}, D)")
    return values
