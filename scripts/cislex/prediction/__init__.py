"""Predictions, inspection and evaluation."""
