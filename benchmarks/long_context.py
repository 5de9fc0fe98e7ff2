"""Random weights of Enformer, Borzoi, Flashzoi and AlphaGenome at reduced size, in files of their packages.

The packages are not among this project's own: docs/models.md says how they are installed beside them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

#: Genome tracks of the small AlphaGenome.
HEADS = {
    "rna_seq": {"num_tracks": 5, "resolutions": (1, 128)},
    "chip_tf": {"num_tracks": 6, "resolutions": (128,)},
}
SMALL_ALPHAGENOME = {
    "dims": [64, 80, 96, 104, 112, 120, 128],
    "transformer_kwargs": {
        "depth": 2, "heads": 4, "dim_head_qk": 32, "dim_head_v": 32, "dim_pairwise": 32,
        "single_to_pairwise_heads": 8,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """Weights in a file, how they are loaded, and the package's own network with these weights."""

    loader: str
    weights: Path
    network: Any
    length: int
    target: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Make every weight matter: the packages begin with attention of zero, and normalise by 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(1 + noise.tanh() / 2)
            elif name.endswith("running_mean"):
                tensor.copy_(0.1 * noise)
            elif isinstance(tensor, nn.Parameter):
                if tensor.ndim < 2:
                    tensor.add_(0.1 * noise)
                elif not tensor.any():
                    tensor.copy_(noise / tensor[0].numel() ** 0.5)
    return network.eval()


def enformer(folder: Path) -> Snapshot:
    """Two transformer layers of 192 channels, 2,048 bp, 8 bins, 20 and 7 tracks, by ``save_pretrained``."""
    from enformer_pytorch import Enformer

    torch.manual_seed(0)
    heads = {"human": 20, "mouse": 7}
    network = Enformer.from_hparams(
        dim=192, depth=2, heads=4, output_heads=heads, target_length=8, dim_divisible_by=16
    )
    randomise(network).save_pretrained(folder, safe_serialization=False)  # its weights have two names
    target = {"head": "human", "axis": 1, "tracks": (3,)}
    return Snapshot("enformer", folder / "pytorch_model.bin", network, 2048, target)


def borzoi(folder: Path) -> Snapshot:
    """Two transformer layers of 192 channels, 4,096 bp, 64 bins, 9 tracks of human and 4 of mouse."""
    from borzoi_pytorch import Borzoi
    from borzoi_pytorch.config_borzoi import BorzoiConfig

    torch.manual_seed(0)
    settings = BorzoiConfig(dim=192, depth=2, heads=4, bins_to_return=64, enable_mouse_head=True)
    network = _few_tracks(Borzoi(settings))
    settings.save_pretrained(folder)
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    return Snapshot("borzoi", folder / "pytorch_model.bin", network, 4096, {"tracks": (3,)})


def flashzoi(folder: Path) -> Snapshot:
    """The same with Flashzoi's attention, 4 heads of 128 channels; the package's own needs a GPU."""
    from borzoi_pytorch import Borzoi
    from borzoi_pytorch.config_borzoi import BorzoiConfig
    from cislex.models.formats.borzoi import FlashAttention

    torch.manual_seed(0)
    settings = BorzoiConfig(dim=512, depth=2, heads=4, bins_to_return=64, enable_mouse_head=True)
    network = Borzoi(settings)
    for block in network.transformer:
        block[0].fn[1] = FlashAttention(512, 4)
    network = _few_tracks(network)
    settings.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "flashed": True}))
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    return Snapshot("borzoi", folder / "pytorch_model.bin", network, 4096, {"tracks": (3,)})


def _few_tracks(network: Any) -> nn.Module:
    network.human_head, network.mouse_head = nn.Conv1d(1920, 9, 1), nn.Conv1d(1920, 4, 1)
    return randomise(network)


def alphagenome(folder: Path) -> Snapshot:
    """Two transformer layers of 128 channels, 4,096 bp, heads of 1 and 128 bp, as a state dict."""
    from alphagenome_pytorch import AlphaGenome
    from alphagenome_pytorch.alphagenome import set_update_running_var

    torch.manual_seed(0)
    network = AlphaGenome(**SMALL_ALPHAGENOME)
    for organism in ("human", "mouse"):
        network.add_reference_heads(
            organism,
            HEADS,
            num_splice_usage_tracks=4,
            splice_junction_hidden_dim=16,
            splice_junction_max_tissues=3,
        )
    set_update_running_var(randomise(network), False)
    torch.save(network.state_dict(), folder / "alphagenome.pt")
    target = {"head": "human.rna_seq.scaled_predictions_128bp", "axis": 1, "tracks": (3,)}
    options = {"hyperparameters": SMALL_ALPHAGENOME}
    return Snapshot("alphagenome", folder / "alphagenome.pt", network, 4096, target, options)


SNAPSHOTS: dict[str, Callable[[Path], Snapshot]] = {
    "enformer": enformer,
    "borzoi": borzoi,
    "flashzoi": flashzoi,
    "alphagenome": alphagenome,
}
