"""One drafted path: how much of it is accepted, and how many target calls a text takes."""

from __future__ import annotations

from mdbound.paths.call_starts import call_starts, expected_calls
from mdbound.paths.gbv import draft_mass_below, gbv_tail, gbv_text_tail
from mdbound.paths.last_level import (
    LAST_LEVELS,
    last_level_of_rows,
    last_level_tail,
    last_level_windows,
)
from mdbound.paths.nodes import node_calls, node_tail, node_text_tail
from mdbound.paths.reweighting import ReweightedTally, check_reweighting, tally_reweighted
from mdbound.paths.rules import PathRule, names, path_rule
from mdbound.paths.sampling import PathSamples, sample_path
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
from mdbound.paths.tiny.programs import fewest_calls, most_accepted

__all__ = [
    "FINISH_REASONS",
    "LAST_LEVELS",
    "PathRule",
    "PathSamples",
    "PathTally",
    "ReweightedTally",
    "accepted_tail",
    "call_starts",
    "check_reweighting",
    "draft_mass_below",
    "expected_calls",
    "fewest_calls",
    "gbv_tail",
    "gbv_text_tail",
    "kernel",
    "last_level_of_rows",
    "last_level_tail",
    "last_level_windows",
    "length_inside_support",
    "length_law",
    "most_accepted",
    "names",
    "node_calls",
    "node_tail",
    "node_text_tail",
    "path_rule",
    "refuse_many_outside_support",
    "sample_path",
    "tally_reweighted",
    "tally_text",
    "tally_texts",
    "tally_windows",
    "text_tail",
]
