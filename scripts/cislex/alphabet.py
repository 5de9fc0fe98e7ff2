"""The bases, in the order of one-hot channels."""

#: Letter of each channel.
BASES = "ACGT"
