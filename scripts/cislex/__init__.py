"""cislex: the cis-regulatory lexicon that a trained DNA sequence model has learned."""

__version__ = "0.1.0"
