"""Numbers with their nouns, for messages and the report."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """``0 words``, ``1 word``, ``1,078 words``; ``many`` where the plural is not ``one`` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
