"""Checks before the first job: files, budget, gate, cluster."""
