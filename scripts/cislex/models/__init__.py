"""Models: loading, weights, adapters."""
