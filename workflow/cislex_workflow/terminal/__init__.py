"""What a run shows on the terminal: a line per finished job, what is running, and how it ended."""
