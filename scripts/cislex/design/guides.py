"""What guides a walk: attributions of the objective by all folds of a model, and its predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cislex.attribution import ISM, attribute
from cislex.attribution.methods import Method
from cislex.chunks.methods_from_config import method_from_settings
from cislex.design.constraints import Codes
from cislex.design.walk import Objective, Values
from cislex.errors import ConfigError, ModelError
from cislex.insertions.chunk import Predictor, make_predictor
from cislex.sequences.store import to_one_hot
from cislex.targets import Difference, Target

#: Methods whose hypothetical contributions promise what an edit changes; ``greedy`` is ISM, read otherwise.
GUIDES = ("integrated_gradients", "tism", "deep_lift_shap", "ism", "greedy")
#: Gains of ISM below this part of the prediction are rounding.
ROUNDING = 1e-6


def guide_from_settings(settings: Mapping[str, Any]) -> Method:
    """The method of a guide, from ``name`` and its options.

    Raises
    ------
    ConfigError
        The method promises no contributions for bases that are not there.
    """
    name = settings["name"]
    if name not in GUIDES:
        raise ConfigError(
            f"guide: found {name!r}, which gives bases that are not there no score; expected one of "
            f"{', '.join(GUIDES)}"
        )
    if name in ("ism", "greedy"):
        return ISM()
    given = {key: value for key, value in settings.items() if value is not None}
    return method_from_settings(given)


def rounding_of(settings: Mapping[str, Any]) -> float:
    """Part of the prediction up to which gains of a guide are rounding."""
    return ROUNDING if settings["name"] in ("ism", "greedy") else 0.0


@dataclass(frozen=True)
class Ensemble:
    """Folds of a model: scores and predictions are means over them.

    Parameters
    ----------
    models, predictors
        Of each fold.
    targets
        T targets that are predicted.
    objective
        The one that guides, or a difference of two.
    method
        Of the guide.
    down
        The objective is lowered: scores are turned.
    options
        Of :func:`cislex.attribution.attribute`: ``device``, ``precision``, ``batch_size`` and so on.
    """

    models: Sequence[Any]
    predictors: Sequence[Predictor]
    targets: Sequence[Target]
    objective: Objective
    method: Method
    down: bool
    options: Mapping[str, Any]

    def score(self, codes: Codes, seeds: NDArray[np.int64]) -> Values:
        """Hypothetical contributions (n, 4, L), higher where the objective moves as it should."""
        x, target = torch.from_numpy(to_one_hot(codes)), self.targets[self.objective.target]
        if self.objective.against is not None:
            target = Difference(target, self.targets[self.objective.against])
        total = np.zeros(x.shape)
        for model in self.models:
            found = attribute(
                model, x, self.method, target=target, seeds=seeds, keep_global=False, **self.options
            )
            total += found.hypothetical.double().numpy()
        if not np.isfinite(total).all():
            raise ModelError(f"guide {self.method.name}: contributions are NaN or infinite")
        return (-total if self.down else total) / len(self.models)

    def predict(self, codes: Codes) -> Values:
        """Predictions (T, n)."""
        found = []
        for predictor in self.predictors:
            with predictor.prepared.active():
                found.append(predictor(codes, "a round"))
        return np.asarray(np.mean(found, axis=0))


def make_ensemble(
    models: Sequence[Any],
    length: int,
    *,
    targets: Sequence[Target],
    objective: Objective,
    guide: Mapping[str, Any],
    down: bool = False,
    device: str | torch.device | None = None,
    precision: str | None = None,
    reverse_complement: bool = False,
    batch_size: int | None = None,
    allow_incomplete: bool = False,
) -> Ensemble:
    """Make the folds of a model ready for sequences of a length in bp."""
    predictors = [
        make_predictor(
            model,
            targets,
            length,
            device=device,
            precision=precision,
            both_strands=reverse_complement,
            batch_size=batch_size,
        )
        for model in models
    ]
    options = {
        "device": device,
        "precision": precision,
        "reverse_complement": reverse_complement,
        "batch_size": batch_size,
        "allow_incomplete": allow_incomplete,
    }
    method = guide_from_settings(guide)
    return Ensemble(models, predictors, targets, objective, method, down, options)
