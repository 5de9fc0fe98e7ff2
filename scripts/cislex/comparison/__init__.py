"""Comparison of attribution methods on the same regions: agreement, faithfulness, localisation."""
