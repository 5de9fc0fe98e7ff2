"""Every file of a finished run, read again: whether it is whole, and agrees with the others."""
