"""Models in the files that other projects publish, read without those projects' packages.

Each module has the network, written from its definition in ordinary torch operations, and a function that
reads a file into it.
"""

from cislex.models.formats.network import Network

__all__ = ["Network"]
