"""Recomputing only what a mutation reaches."""
