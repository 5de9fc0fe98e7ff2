"""The config: read, checked, completed, documented."""
