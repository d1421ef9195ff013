"""Is this verifier lossless? Exact audits of laws, sequential tests of samplers and traces."""

from __future__ import annotations

from mdbound.audit.exact.path import exact_path
from mdbound.audit.exact.position import exact
from mdbound.audit.exact.tree import exact_tree
from mdbound.audit.ours import path_rule, position_rule, sampling_of, tree_rule, tree_sampler
from mdbound.audit.report import AuditReport, ProblemResult, Witness
from mdbound.audit.sampling.sampled import sampled, sampled_path, sampled_tree
from mdbound.audit.table import battery_table, table
from mdbound.audit.testing import assert_lossless
from mdbound.audit.trace import trace

__all__ = [
    "AuditReport",
    "ProblemResult",
    "Witness",
    "assert_lossless",
    "battery_table",
    "exact",
    "exact_path",
    "exact_tree",
    "path_rule",
    "position_rule",
    "sampled",
    "sampled_path",
    "sampled_tree",
    "sampling_of",
    "table",
    "trace",
    "tree_rule",
    "tree_sampler",
]
