"""The synthetic genome and its truth."""
