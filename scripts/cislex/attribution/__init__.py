"""Attributions of sequence models: one call, one algebra, every method.

Examples
--------
>>> from cislex.attribution import DeepLiftShap, attribute
>>> result = attribute(model, sequences, DeepLiftShap(), target=0)
>>> result.hypothetical.shape, result.contributions.shape, result.delta.shape
(torch.Size([4, 4, 60]), torch.Size([4, 4, 60]), torch.Size([4, 20]))
"""

from cislex.attribution.api import attribute, attribute_batches, attribute_targets
from cislex.attribution.genomic_references import GenomicWindows
from cislex.attribution.methods import (
    ISM,
    TISM,
    DeepLiftShap,
    ExpectedGradients,
    IntegratedGradients,
    Saliency,
)
from cislex.attribution.mutagenesis.distances import Distances, ism_distances
from cislex.attribution.mutagenesis.epistasis import BlockEpistasis, Epistasis, block_epistasis, epistasis
from cislex.attribution.mutagenesis.indels import deletions, insertions
from cislex.attribution.mutagenesis.perturbations import Perturbations, scrambles, substitutions
from cislex.attribution.mutagenesis.windows import tiles
from cislex.attribution.pisa.positions import PositionAttributions, attribute_positions, position_batches
from cislex.attribution.reference_convergence import Sufficiency, reference_sufficiency
from cislex.attribution.references import (
    DinucleotideShuffle,
    FixedReferences,
    Shuffle,
    Uniform,
    Zeros,
    make_references,
)
from cislex.attribution.result import Attribution
from cislex.attribution.saved_references import SavedReferences, load_references, save_references

__all__ = [
    "ISM",
    "TISM",
    "Attribution",
    "BlockEpistasis",
    "DeepLiftShap",
    "DinucleotideShuffle",
    "Distances",
    "Epistasis",
    "ExpectedGradients",
    "FixedReferences",
    "GenomicWindows",
    "IntegratedGradients",
    "Perturbations",
    "PositionAttributions",
    "Saliency",
    "SavedReferences",
    "Shuffle",
    "Sufficiency",
    "Uniform",
    "Zeros",
    "attribute",
    "attribute_batches",
    "attribute_positions",
    "attribute_targets",
    "block_epistasis",
    "deletions",
    "epistasis",
    "insertions",
    "ism_distances",
    "load_references",
    "make_references",
    "position_batches",
    "reference_sufficiency",
    "save_references",
    "scrambles",
    "substitutions",
    "tiles",
]
