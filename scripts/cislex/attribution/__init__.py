"""Attributions of sequence models: one call, one algebra, every method.

>>> from cislex.attribution import attribute, DeepLiftShap
>>> result = attribute(model, sequences, DeepLiftShap(), target=0)  # doctest: +SKIP
>>> result.hypothetical, result.contributions, result.delta  # doctest: +SKIP
"""

from cislex.attribution.api import attribute, attribute_batches, attribute_targets
from cislex.attribution.genomic import GenomicWindows
from cislex.attribution.methods import (
    ISM,
    TISM,
    DeepLiftShap,
    ExpectedGradients,
    IntegratedGradients,
    Saliency,
)
from cislex.attribution.references import (
    DinucleotideShuffle,
    FixedReferences,
    Shuffle,
    Uniform,
    Zeros,
    make_references,
)
from cislex.attribution.result import Attribution
from cislex.attribution.saved import SavedReferences, load_references, save_references
from cislex.attribution.sufficiency import Sufficiency, reference_sufficiency

__all__ = [
    "ISM",
    "TISM",
    "Attribution",
    "DeepLiftShap",
    "DinucleotideShuffle",
    "ExpectedGradients",
    "FixedReferences",
    "GenomicWindows",
    "IntegratedGradients",
    "Saliency",
    "SavedReferences",
    "Shuffle",
    "Sufficiency",
    "Uniform",
    "Zeros",
    "attribute",
    "attribute_batches",
    "attribute_targets",
    "load_references",
    "make_references",
    "reference_sufficiency",
    "save_references",
]
