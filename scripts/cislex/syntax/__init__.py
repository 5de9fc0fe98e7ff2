"""Syntax: where words stand in the regions, how far apart and in which orientation."""
