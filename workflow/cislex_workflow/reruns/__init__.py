"""Which jobs run again: by content of files, settings and code."""
