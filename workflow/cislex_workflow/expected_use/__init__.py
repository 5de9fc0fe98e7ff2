"""Memory and time that jobs are expected to use, by what they work on."""
