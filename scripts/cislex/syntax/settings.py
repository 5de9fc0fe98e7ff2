"""Settings of the analysis of syntax, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, fields

from cislex.errors import ConfigError

#: Strands of word_a and word_b, read so that word_a comes first; of a word with itself ``--`` is ``++``.
ORIENTATIONS = ("++", "+-", "-+", "--")


@dataclass(frozen=True)
class SyntaxSettings:
    """What is counted, and from how many hits on.

    Attributes
    ----------
    max_distance
        Largest distance between the centres of two hits that is tested, bp.
    windows
        Distances up to which the two hits of a pair are also counted together, bp.
    centre
        Hits at most this far from the region's centre are central, the others lie in its flanks, bp.
    bin_width
        Width of the bins of positions, bp.
    searched
        Length of the central part of each region in which hits were called, bp; None: the whole region.
    min_hits
        Words with fewer hits are left out.
    min_regions
        Distances are tested for pairs that share at least this many regions.
    min_pairs
        Periodicity is tested for pairs with at least this many pairs of hits within ``max_distance``.
    shortest_period, longest_period
        The periods that are searched, bp.
    permutations
        Series that are drawn for a p-value of a period, at most.
    seed
        Seed of what is drawn.
    """

    max_distance: int = 150
    windows: tuple[int, ...] = (20, 35, 50, 75, 100, 150)
    centre: int = 50
    bin_width: int = 10
    searched: int | None = None
    min_hits: int = 20
    min_regions: int = 20
    min_pairs: int = 200
    shortest_period: float = 8.0
    longest_period: float = 13.0
    permutations: int = 9_999
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("windows", "searched", "seed"):
                continue
            if isinstance(value, bool) or not value > 0:
                raise ConfigError(f"{field.name} must be above 0; found {value!r}")
        if self.searched is not None and self.searched < 1:
            raise ConfigError(f"searched must be at least 1 or None; found {self.searched!r}")
        if wrong := [width for width in self.windows if not 0 < width <= self.max_distance]:
            raise ConfigError(
                f"windows must lie between 1 and max_distance ({self.max_distance}); found {wrong}"
            )
        if self.shortest_period < 2 or self.shortest_period >= self.longest_period:
            raise ConfigError(
                "shortest_period must be at least 2 and below longest_period; found "
                f"{self.shortest_period} and {self.longest_period}"
            )
