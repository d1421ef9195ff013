"""Draft trees: topologies, draft laws, verifiers, and what no verifier can beat."""

from __future__ import annotations

from mdbound.trees.drafting.branching import Branching
from mdbound.trees.drafting.delayed_paths import DelayedPaths
from mdbound.trees.drafting.drafted_tree import DraftedTree, tree_of_paths
from mdbound.trees.drafting.likely_tree import LikelyTree
from mdbound.trees.drafting.named_laws import is_named_law, named_law
from mdbound.trees.drafting.paths_law import Paths
from mdbound.trees.drafting.tree_law import TreeLaw
from mdbound.trees.optima.depth_bound import depth_bound
from mdbound.trees.optima.node_sets import node_sets
from mdbound.trees.optima.optimum import TreeOptimum, optimal_value
from mdbound.trees.optima.path_bound.on_models import path_bound
from mdbound.trees.optima.prices import price_bound
from mdbound.trees.registry import lagged, names, runnable_verifier, verifier
from mdbound.trees.topologies.catalogue import topology
from mdbound.trees.topologies.search import search
from mdbound.trees.topologies.topology import Topology, delayed, full, topology_from_json
from mdbound.trees.verifiers.quantile.class_masses import ClassMasses, class_masses
from mdbound.trees.verifiers.quantile.offsets import default_share, gaussian_bins, pooled_bins
from mdbound.trees.verifiers.quantile.on_text import quantile_text_tail
from mdbound.trees.verifiers.verifier import RunnableVerifier, TreeVerifier
from mdbound.trees.whole_law import block_law, expected_length

__all__ = [
    "Branching",
    "ClassMasses",
    "DelayedPaths",
    "DraftedTree",
    "LikelyTree",
    "Paths",
    "RunnableVerifier",
    "Topology",
    "TreeLaw",
    "TreeOptimum",
    "TreeVerifier",
    "block_law",
    "class_masses",
    "default_share",
    "delayed",
    "depth_bound",
    "expected_length",
    "full",
    "gaussian_bins",
    "is_named_law",
    "lagged",
    "named_law",
    "names",
    "node_sets",
    "optimal_value",
    "path_bound",
    "pooled_bins",
    "price_bound",
    "quantile_text_tail",
    "runnable_verifier",
    "search",
    "topology",
    "topology_from_json",
    "tree_of_paths",
    "verifier",
]
