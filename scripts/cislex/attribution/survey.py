"""Public path of :mod:`cislex.attribution.deeplift.survey`: the operations that a model consists of."""

from cislex.attribution.deeplift.survey import survey_operations

__all__ = ["survey_operations"]
