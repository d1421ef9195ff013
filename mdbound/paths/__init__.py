"""One drafted path: how much of it is accepted, and how many target calls a text takes."""

from __future__ import annotations

from mdbound.paths.call_starts import call_starts, expected_calls
from mdbound.paths.last_level import last_level_tail
from mdbound.paths.nodes import node_calls, node_tail, node_text_tail
from mdbound.paths.rules import PathRule, names, path_rule
from mdbound.paths.tails import accepted_tail, text_tail
from mdbound.paths.tally import (
    FINISH_REASONS,
    PathTally,
    length_inside_support,
    refuse_many_outside_support,
    tally_text,
    tally_texts,
    tally_windows,
)
from mdbound.paths.tiny.kernels import kernel
from mdbound.paths.tiny.length_law import length_law

__all__ = [
    "FINISH_REASONS",
    "PathRule",
    "PathTally",
    "accepted_tail",
    "call_starts",
    "expected_calls",
    "kernel",
    "last_level_tail",
    "length_inside_support",
    "length_law",
    "names",
    "node_calls",
    "node_tail",
    "node_text_tail",
    "path_rule",
    "refuse_many_outside_support",
    "tally_text",
    "tally_texts",
    "tally_windows",
    "text_tail",
]
