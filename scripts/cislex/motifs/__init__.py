"""Motifs: discovery, annotation, hits."""
