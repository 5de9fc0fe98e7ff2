"""Targets: from a model's output to one number per example.

Examples
--------
>>> as_target(1)
Output(index=1, head=None)
>>> list(all_from_config({"a": {"kind": "output"}, "b": {"kind": "log_counts"}}))
['a', 'b']
>>> opened_at(Output(0)), opened_at(PreActivation())  # modules whose input is read
(frozenset(), frozenset({''}))
>>> unbound: Bound = Output(0)  # any function output -> (N,)
"""

from cislex.targets.targets import (
    Bins,
    Bound,
    ConfigError,
    Custom,
    Difference,
    Log,
    LogCounts,
    ModelError,
    Output,
    PairTarget,
    PreActivation,
    Profile,
    Ratio,
    Slice,
    Sum,
    Target,
    Tracks,
    all_from_config,
    as_target,
    axis_last,
    bind_target,
    caught,
    describe,
    entries_of,
    entry,
    from_config,
    opened_at,
    plain_output,
    read_target,
    select_head,
)

__all__ = [
    "Bins",
    "Bound",
    "ConfigError",
    "Custom",
    "Difference",
    "Log",
    "LogCounts",
    "ModelError",
    "Output",
    "PairTarget",
    "PreActivation",
    "Profile",
    "Ratio",
    "Slice",
    "Sum",
    "Target",
    "Tracks",
    "all_from_config",
    "as_target",
    "axis_last",
    "bind_target",
    "caught",
    "describe",
    "entries_of",
    "entry",
    "from_config",
    "opened_at",
    "plain_output",
    "read_target",
    "select_head",
]
