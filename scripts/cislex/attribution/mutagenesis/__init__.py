"""In-silico mutagenesis."""
