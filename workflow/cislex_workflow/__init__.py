"""What Snakemake's rules call while the workflow is parsed and planned: plain Python, without torch."""
