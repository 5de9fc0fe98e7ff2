"""Public path of :mod:`cislex.attribution.deeplift.elementwise`: rules for operations of your own."""

from cislex.attribution.deeplift.elementwise import Elementwise, elementwise, quotient_or_midpoint

__all__ = ["Elementwise", "elementwise", "quotient_or_midpoint"]
