"""The mathematics of multi-draft acceptance: arrays in, exact values with error bounds out.

Acceptance here is *membership*: the probability that the output token is one of the drafted
tokens. `target` is p, `draft` is q, `num_drafts` is n, and `sampling` names the law of the
drafts, one of `SAMPLING_LAWS`.
"""

from mdbound.bounds.acceptance import (
    acceptance_curve,
    containment,
    optimal_acceptance,
    solve,
    solve_curve,
)
from mdbound.bounds.canonical.decomposition import CanonicalDecomposition, canonical_decomposition
from mdbound.bounds.from_logits import acceptance_curve_from_logits, solve_curve_from_logits
from mdbound.bounds.gradients.acceptance_gradient import acceptance_gradient
from mdbound.bounds.laws.draft_law import DraftLaw
from mdbound.bounds.laws.registry import SAMPLING_LAWS, draft_law, register_law
from mdbound.bounds.logits import distribution_from_logits, entropy_from_logits
from mdbound.bounds.numerics.compiled.on_compiling import on_compiling
from mdbound.bounds.papers.truncated import (
    TruncatedSelection,
    truncated_alphabet,
    truncated_selection,
)
from mdbound.bounds.papers.two_drafts import (
    EqualsOneCondition,
    equals_one_condition,
    equals_one_margin,
    two_draft_acceptance,
)
from mdbound.bounds.problem.checks import MASS_TOLERANCE
from mdbound.bounds.problem.solution import AcceptanceCurve, Solution
from mdbound.bounds.problem.warpers import Warpers
from mdbound.bounds.programs.importance_sampling import importance_sampling_lp
from mdbound.bounds.programs.linear_program import optimal_acceptance_lp, solve_transport
from mdbound.bounds.proofs.certificate import Certificate, CheckedInterval, make_certificate

__all__ = [
    "MASS_TOLERANCE",
    "SAMPLING_LAWS",
    "AcceptanceCurve",
    "CanonicalDecomposition",
    "Certificate",
    "CheckedInterval",
    "DraftLaw",
    "EqualsOneCondition",
    "Solution",
    "TruncatedSelection",
    "Warpers",
    "acceptance_curve",
    "acceptance_curve_from_logits",
    "acceptance_gradient",
    "canonical_decomposition",
    "containment",
    "distribution_from_logits",
    "draft_law",
    "entropy_from_logits",
    "equals_one_condition",
    "equals_one_margin",
    "importance_sampling_lp",
    "make_certificate",
    "on_compiling",
    "optimal_acceptance",
    "optimal_acceptance_lp",
    "register_law",
    "solve",
    "solve_curve",
    "solve_curve_from_logits",
    "solve_transport",
    "truncated_alphabet",
    "truncated_selection",
    "two_draft_acceptance",
]
