"""Architectures that ``train_model`` can train: small, well-known, and built from a name and plain numbers.

Every one takes one-hot sequences (N, 4, L) float32 and returns logits (N, tasks), no sigmoid.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from cislex.errors import ConfigError


class CNN(nn.Module):
    """Two convolutions, each with batch normalisation, and a global maximum.

    Conv(4 → filters) → BatchNorm → ReLU → MaxPool → Conv → BatchNorm → ReLU → maximum over positions
    → Dropout → Linear.

    Parameters
    ----------
    tasks
        Number of logits.
    input_length
        Sequence length in bp; a model takes this length only.
    filters
        Filters of both convolutions.
    kernel, second_kernel
        Their widths, in bp and in pooled positions.
    pool
        Width of the maximum pooling after the first.
    dropout
        Share of the features dropped in training.
    both_strands
        Take the maximum over both strands as well: both go through the same convolutions, and the logits of a
        sequence and of its reverse complement are equal.
    """

    def __init__(
        self,
        *,
        tasks: int,
        input_length: int,
        filters: int = 48,
        kernel: int = 19,
        pool: int = 4,
        second_kernel: int = 5,
        dropout: float = 0.1,
        both_strands: bool = False,
    ) -> None:
        super().__init__()
        pooled = (input_length - kernel + 1) // pool
        positions = pooled - second_kernel + 1
        _require_length(positions, input_length)
        self.features = nn.Sequential(
            nn.Conv1d(4, filters, kernel),
            nn.BatchNorm1d(filters),
            nn.ReLU(),
            nn.MaxPool1d(pool),
            nn.Conv1d(filters, filters, second_kernel),
            nn.BatchNorm1d(filters),
            nn.ReLU(),
        )
        self.both_strands = both_strands
        self.top = nn.MaxPool1d(2 * positions if both_strands else positions)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(filters, tasks))

    def forward(self, sequences: Tensor) -> Tensor:
        """Logits (N, tasks) of one-hot sequences (N, 4, L)."""
        found = self.features(sequences)
        if self.both_strands:  # channels and positions turned round: the reverse complement
            found = torch.cat([found, self.features(sequences.flip(1, 2))], dim=2)
        return self.head(self.top(found))


class CNNLSTM(nn.Module):
    """Convolutions find motifs; a bidirectional LSTM reads their order; a dense layer decides.

    Parameters
    ----------
    tasks, input_length, filters, kernel, pool, dropout
        See :class:`CNN`.
    second_filters
        Filters of a second convolution of the same kernel and pooling; None leaves it out.
    hidden
        Hidden units of the LSTM in each direction.
    dense
        Units of the dense layer.
    """

    def __init__(
        self,
        *,
        tasks: int,
        input_length: int,
        filters: int = 48,
        kernel: int = 19,
        pool: int = 8,
        second_filters: int | None = None,
        hidden: int = 32,
        dense: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        widths = [4, filters] if second_filters is None else [4, filters, second_filters]
        positions = input_length
        for _ in widths[1:]:
            positions = (positions - kernel + 1) // pool
            _require_length(positions, input_length)
        self.hidden = hidden
        self.motifs = nn.Sequential(
            *(
                layer
                for before, after in itertools.pairwise(widths)
                for layer in (
                    nn.Conv1d(before, after, kernel),
                    nn.BatchNorm1d(after),
                    nn.ReLU(),
                    nn.MaxPool1d(pool),
                )
            )
        )
        self.lstm = nn.LSTM(widths[-1], hidden, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(2 * hidden, dense), nn.ReLU(), nn.Linear(dense, tasks)
        )

    def forward(self, sequences: Tensor) -> Tensor:
        """Logits (N, tasks) of one-hot sequences (N, 4, L)."""
        states, _ = self.lstm(self.motifs(sequences).transpose(1, 2))
        last = torch.cat([states[:, -1, : self.hidden], states[:, 0, self.hidden :]], dim=1)
        return self.head(last)


class _Residual(nn.Module):
    """One dilated convolution whose output is added to its input."""

    def __init__(self, filters: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(filters, filters, 3, padding=dilation, dilation=dilation)
        self.activation = nn.ReLU()

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.activation(self.conv(hidden))


class BPNet(nn.Module):
    """Dilated residual convolutions (Avsec et al. 2021), a counts head and, if asked, a profile head.

    Parameters
    ----------
    tasks, input_length, filters
        See :class:`CNN`.
    layers
        Dilated layers; layer i has dilation 2**i.
    kernel, profile_kernel
        Odd widths of the first convolution and of the profile head, in bp.
    profile
        Also return profile logits; the output is then a dict.
    """

    def __init__(
        self,
        *,
        tasks: int,
        input_length: int,
        filters: int = 64,
        layers: int = 8,
        kernel: int = 21,
        profile: bool = False,
        profile_kernel: int = 75,
    ) -> None:
        super().__init__()
        _require_length(input_length - kernel + 1, input_length)
        if kernel % 2 == 0 or profile_kernel % 2 == 0:
            raise ConfigError(f"kernel and profile_kernel must be odd; found {kernel} and {profile_kernel}")
        self.first = nn.Sequential(nn.Conv1d(4, filters, kernel, padding=kernel // 2), nn.ReLU())
        self.body = nn.Sequential(*(_Residual(filters, 2**i) for i in range(1, layers + 1)))
        self.counts = nn.Linear(filters, tasks)
        self.profile = (
            nn.Conv1d(filters, tasks, profile_kernel, padding=profile_kernel // 2) if profile else None
        )

    def forward(self, sequences: Tensor) -> Tensor | dict[str, Tensor]:
        """Logits (N, tasks); with a profile ``{"profile": (N, tasks, L), "counts": (N, tasks)}``."""
        hidden = self.body(self.first(sequences))
        counts = self.counts(hidden.mean(dim=-1))
        if self.profile is None:
            return counts
        return {"profile": self.profile(hidden), "counts": counts}


def _require_length(positions: int, input_length: int) -> None:
    if positions < 1:
        raise ConfigError(f"input_length is {input_length} bp: too short for the kernels and the pooling")
