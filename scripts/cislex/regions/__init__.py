"""From peaks to regions of a genome."""
