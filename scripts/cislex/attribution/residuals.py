"""Public path of :mod:`cislex.attribution.deeplift.residuals`: which operation loses completeness."""

from cislex.attribution.deeplift.residuals import operation_residuals

__all__ = ["operation_residuals"]
