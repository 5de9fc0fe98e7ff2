"""One-hot sequences: stored, imported, shuffled."""
