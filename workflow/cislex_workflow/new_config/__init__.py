"""``make new``: a first config for the user's genome, peaks and model.

The one part of this folder that imports the package, which reads the files: no plan of Snakemake imports it.
"""
