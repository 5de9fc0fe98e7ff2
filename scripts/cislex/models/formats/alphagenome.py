"""AlphaGenome (Avsec et al. 2025) of alphagenome-pytorch: heads by organism, name and resolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cislex.errors import ConfigError, ModelError
from cislex.models.formats.network import Network
from cislex.models.formats.pretrained import Lengths, check_names, installed, make
from cislex.models.full_precision import Widened
from cislex.models.weights import find_state, load_state, read_checkpoint, strip_prefixes

REQUIREMENT = "alphagenome-pytorch==0.2.8"
#: Numbers of the organisms in the package's embeddings.
ORGANISMS = {"human": 0, "mouse": 1}
#: Heads that need the positions of splice sites beside the sequence.
_OF_JUNCTIONS = ("splice_juncs", "splice_sites_junction")
#: Ends of the names of what follows from the hyperparameters; files converted from JAX do not hold it.
_CONSTANTS = (".inv_freq", ".dummy")
_State = Mapping[str, Tensor]


class OneHotEmbedding(nn.Module):
    """The package's first layers, without its step from integer codes to one-hot sequences."""

    def __init__(self, embedding: Any) -> None:
        super().__init__()
        self.conv: nn.Module = embedding.conv
        self.pointwise: nn.Module = embedding.pointwise
        self.pool: nn.Module = embedding.pool

    def forward(self, sequences: Tensor) -> tuple[Tensor, Tensor]:
        """One-hot (N, 4, L) to what goes on, (N, channels, L / 2), and what is kept for the way up."""
        convolved = self.conv(sequences)
        kept = convolved + self.pointwise(convolved)
        return self.pool(kept), kept


class AlphaGenome(nn.Module):
    """The package's network for sequences of one organism."""

    def __init__(self, network: nn.Module, lengths: Lengths, organism: str) -> None:
        super().__init__()
        self.network = network
        self.lengths = lengths
        self.organism = organism

    def forward(self, sequences: Tensor) -> Any:
        """Return ``{organism: {head: …}}`` of one-hot (N, 4, L), computed in their floating point."""
        self.lengths.check(sequences)
        with Widened(sequences.dtype):  # also in place of bfloat16, which the package uses on a GPU
            return self.network(sequences, ORGANISMS[self.organism])


def read_alphagenome(
    weights: Path, hyperparameters: Mapping[str, Any], organism: str, heads: Sequence[str] | None
) -> Network:
    """Build the network, with the heads that the weights have, and load them.

    Parameters
    ----------
    weights
        State dict of the package's ``AlphaGenome``.
    hyperparameters
        Its arguments; the published ones by default.
    organism
        ``human`` or ``mouse``: the embedding, and the heads that are used.
    heads
        Names of the heads that are computed; None for all. Heads of splice junctions are not.

    Raises
    ------
    ModelError
        When the package is not installed, the weights do not fit, or there is no such head.
    ConfigError
        When the network does not have a hyperparameter.
    """
    with _same_matmul(), installed(REQUIREMENT):
        package: Any = import_module("alphagenome_pytorch.alphagenome")
    check_names(hyperparameters, package.AlphaGenome)
    state = strip_prefixes(find_state(read_checkpoint(weights), weights))
    network = make(package.AlphaGenome, source=weights, **hyperparameters)
    organisms = sorted({name.split(".")[1] for name in state if name.startswith("heads.")})
    for name in organisms:
        _add_heads(network, name, state)
    constants = {name: own for name, own in network.state_dict().items() if name.endswith(_CONSTANTS)}
    load_state(network, {**constants, **state}, source=weights)
    if organism not in organisms:
        raise ModelError(
            f"{weights}: has no heads of organism {organism}; it has {' and '.join(organisms) or 'no heads'}"
        )
    left = _keep_heads(network, organism, heads)
    package.set_update_running_var(
        network, False
    )  # else every prediction changes the variances in evaluation
    unet = network.transformer_unet
    unet.dna_embed = OneHotEmbedding(unet.dna_embed)
    single = next(layer[2] for layer in unet.transformer.layers if layer[2] is not None)
    pool = single.avg_pool.axes_lengths["pool"]
    multiple = 2 ** (len(unet.downs) + 1) * pool
    notices = [f"{weights}: {name} needs positions of splice sites and is left out" for name in left]
    return Network(AlphaGenome(network, Lengths(multiple, multiple), organism), notices=tuple(notices))


def _keep_heads(network: Any, organism: str, wanted: Sequence[str] | None) -> list[str]:
    """Leave the network the heads of one organism that are wanted; returns those that cannot be computed."""
    for name in set(network.heads) - {organism}:
        del network.heads[name]
    there = network.heads[organism]
    junctions = [name for name in _OF_JUNCTIONS if name in there]
    computed = [name for name in there if name not in junctions]
    if unknown := sorted(set(wanted or ()) - set(computed)):
        raise ConfigError(
            f"heads: unknown {', '.join(unknown)}; the weights have {', '.join(computed)} of {organism}"
            + (f", and {', '.join(junctions)}, which needs positions of splice sites" if junctions else "")
        )
    for name in list(there):
        if name in junctions or (wanted is not None and name not in wanted):
            del there[name]
    return [] if wanted else junctions


def _add_heads(network: Any, organism: str, state: _State) -> None:
    """Add an organism's heads with the sizes that the weights have; missing weights are told on loading."""
    prefix = f"heads.{organism}."
    shapes = {name.removeprefix(prefix): state[name].shape for name in state if name.startswith(prefix)}

    def rows(name: str) -> int:
        return shapes[name][0] if name in shapes else 1

    if "1bp_tracks.to_pred.weight" in shapes:
        network.add_heads(
            organism,
            num_tracks_1bp=rows("1bp_tracks.to_pred.weight"),
            num_tracks_128bp=rows("128bp_tracks.to_pred.weight"),
            num_tracks_contacts=rows("contact_head.proj.weight"),
            num_splicing_contexts=rows("splice_usage.linear.weight"),
            hidden_dim_splice_juncs=rows("splice_juncs.project.weight"),
        )
        return
    tracks: dict[str, dict[str, Any]] = {}
    for name, shape in shapes.items():
        head, _, rest = name.partition(".resolutions.resolution_")
        if rest.endswith(".to_pred.weight"):
            entry = tracks.setdefault(head, {"num_tracks": shape[0], "resolutions": ()})
            entry["resolutions"] += (int(rest.split(".")[0]),)
    hidden = rows("splice_sites_junction.project.weight")
    network.add_reference_heads(
        organism,
        genome_track_heads=tracks,
        num_tracks_contacts=rows("contact_maps.to_pred.weight"),
        num_splice_usage_tracks=rows("splice_sites_usage.linear.weight"),
        splice_junction_hidden_dim=hidden,
        splice_junction_max_tissues=rows("splice_sites_junction.pos_donor_embeddings") // (2 * hidden) or 1,
    )


@contextmanager
def _same_matmul() -> Iterator[None]:
    """Keep the precision of products on a GPU, which importing the package lowers."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
