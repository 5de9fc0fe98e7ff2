"""One lexicon for a collection: the patterns of all targets and analyses become words, and who uses which."""
