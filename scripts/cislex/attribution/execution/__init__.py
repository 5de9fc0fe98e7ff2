"""How models run in attribution."""
