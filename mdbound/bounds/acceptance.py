"""Optimal acceptance of target and draft distributions: one number, a curve, or a solution."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.draft_law import DraftLaw
from mdbound.bounds.laws.registry import draft_law
from mdbound.bounds.laws.usable_rows import solve_usable_rows
from mdbound.bounds.problem.any_array import holds_tensor, host_array, num_dimensions
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.problem.solution import AcceptanceCurve, Solution, refuse_unsolved
from mdbound.errors import InvalidDistributionError


def optimal_acceptance(
    target: npt.ArrayLike, draft: Any, num_drafts: int, sampling: str = "with_replacement"
) -> float | FloatArray:
    """Largest probability that the output is one of n drafts, over all lossless verifiers.

    Membership acceptance alpha* = 1 + min over H of [p(H) - F(H)], for the law `sampling` of
    the drafts (Hu et al. 2025).

    Torch tensors are solved on their device, see `solve_curve`.

    Args:
        target: p, shape (V,) or (B, V).
        draft: q, the same shape; for `"independent"` a sequence of n such arrays.
        num_drafts: n, at least 1.
        sampling: one of `SAMPLING_LAWS`.

    Returns:
        A float for one row, an array (or tensor) of shape (B,) for a batch.

    Raises:
        InvalidDistributionError: negative, NaN or unnormalised probabilities, shapes that differ.
        InvalidSettingError: n < 1, an unknown law, too few independent drafts.

    Example:
        >>> round(optimal_acceptance([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2), 12)
        0.86
    """
    acceptance = acceptance_curve(target, draft, num_drafts, sampling)[..., -1]
    return float(acceptance) if acceptance.ndim == 0 else acceptance


def acceptance_curve(
    target: npt.ArrayLike,
    draft: Any,
    max_drafts: int,
    sampling: str = "with_replacement",
    *,
    strict: bool = True,
) -> FloatArray:
    """Optimal acceptance for every n = 1..max_drafts; arguments as `solve_curve`.

    Returns:
        Shape (max_drafts,) for one row, (B, max_drafts) for a batch.

    Example:
        >>> acceptance_curve([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 3).round(3).tolist()
        [0.7, 0.86, 0.988]
    """
    curve = solve_curve(target, draft, max_drafts, sampling, strict=strict).acceptance
    return curve[0] if _is_single(target, draft, sampling) else curve


def solve_curve(
    target: npt.ArrayLike,
    draft: Any,
    max_drafts: int,
    sampling: str = "with_replacement",
    *,
    strict: bool = True,
) -> AcceptanceCurve:
    """Acceptance, optimal sets' sizes and masses, and error bounds for every n = 1..max_drafts.

    If target or draft is a torch tensor, so are the arrays of the result. They are solved by torch
    operations on the tensor's device, in float64, to the same values.

    Args:
        target: p, shape (V,) or (B, V).
        draft: q, the same shape; for `"independent"` a sequence of at least max_drafts arrays.
        max_drafts: N, at least 1.
        sampling: one of `SAMPLING_LAWS`.
        strict: raise for a row that holds no distributions, or cannot be solved within its error
            bound; otherwise that row is NaN, and its index is in the curve's `unsolved`.

    Raises:
        InvalidDistributionError: as `optimal_acceptance`; for single rows only with `strict`.
        InvalidSettingError: as `optimal_acceptance`.
        UnsolvedError: naming the row, with `strict`.

    Example:
        >>> curve = solve_curve([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2)
        >>> curve.subset_size.tolist(), curve.draft_mass.round(3).tolist()
        ([[2, 2]], [[0.8, 0.8]])
        >>> solve_curve([[0.5, 0.5], [0.5, 0.6]], [0.5, 0.5], 2, strict=False).unsolved
        [1]
    """
    law = draft_law(sampling)
    if holds_tensor(target, draft):
        return _solve_tensors(law, target, draft, max_drafts, strict).settled()
    return _solve_arrays(law, target, draft, max_drafts, strict).settled()


def _solve_arrays(
    law: DraftLaw, target: npt.ArrayLike, draft: Any, max_drafts: int, strict: bool
) -> AcceptanceCurve:
    if not strict:
        return solve_usable_rows(law, target, draft, max_drafts)
    rows, drafts = law.check(target, draft, max_drafts)
    return law.curve(rows, drafts, max_drafts)


def _solve_tensors(
    law: DraftLaw, target: Any, draft: Any, max_drafts: int, strict: bool
) -> AcceptanceCurve:
    """Solve on the device or, where it declines, on the host."""
    from mdbound.bounds.device import rows as device_rows
    from mdbound.bounds.device.tensors import common_device, to_device

    device = common_device(target, draft)
    curve = device_rows.solve_curve(law, target, draft, max_drafts)
    if curve is None:
        on_host = _solve_arrays(law, host_array(target), host_array(draft), max_drafts, strict)
        return to_device(on_host, device)
    if strict and curve.unsolved:
        law.check(target, draft, max_drafts)  # a row that holds no distributions is named as such
        refuse_unsolved(curve)
    return curve


def solve(
    target: npt.ArrayLike, draft: Any, num_drafts: int, sampling: str = "with_replacement"
) -> Solution:
    """The optimum of one position, with the set that proves it an upper bound.

    Tensors are copied to the host, where the certificate is made.

    Args:
        target: p, shape (V,).
        draft: q, shape (V,); for `"independent"` a sequence of n such arrays.
        num_drafts: n, at least 1.
        sampling: one of `SAMPLING_LAWS`.

    Raises:
        InvalidDistributionError: as `optimal_acceptance`, or more than one row is given.
        InvalidSettingError: as `optimal_acceptance`.

    Example:
        >>> solution = solve([0.5, 0.3, 0.2], [0.2, 0.5, 0.3], 2)
        >>> solution.subset.tolist(), round(solution.containment, 12)
        ([1, 2], 0.64)
        >>> proven = solution.certificate.check([0.5, 0.3, 0.2], [0.2, 0.5, 0.3])
        >>> proven.error_of(solution.acceptance) <= solution.error_bound
        True
    """
    from mdbound.bounds.proofs.certificate import make_certificate

    law = draft_law(sampling)
    rows, drafts = law.check(target, draft, num_drafts)
    if len(rows) != 1:
        raise InvalidDistributionError(
            f"solve takes one position, not {len(rows)} rows: use solve_curve for a batch"
        )
    curve = law.curve(rows, drafts, num_drafts).settled()
    single = tuple(one[0] for one in drafts) if isinstance(drafts, tuple) else drafts[0]
    if curve.subset_size[0, -1] == 0:
        mask = np.zeros(rows.shape[1], dtype=np.bool_)
    else:
        mask = law.optimal_subset(rows[0], single, num_drafts)
    return Solution(
        acceptance=float(curve.acceptance[0, -1]),
        subset=np.flatnonzero(mask),
        target_mass=float(curve.target_mass[0, -1]),
        containment=float(curve.containment[0, -1]),
        error_bound=float(curve.error_bound[0, -1]),
        certificate=make_certificate(rows[0], single, num_drafts, sampling, mask),
    )


def containment(
    draft: Any, subset: npt.ArrayLike, num_drafts: int, sampling: str = "with_replacement"
) -> float:
    """F(H): probability that all n drafts lie in the token set H.

    Args:
        draft: q, shape (V,); for `"independent"` a sequence of n such arrays.
        subset: mask of H, shape (V,), or token ids.
        num_drafts: n, at least 1.
        sampling: one of `SAMPLING_LAWS`.

    Raises:
        InvalidDistributionError, InvalidSettingError: as `optimal_acceptance`.

    Example:
        >>> containment([0.5, 0.25, 0.25], [0, 1], 2)
        0.5625
        >>> round(containment([0.5, 0.25, 0.25], [0, 1], 2, "without_replacement"), 12)
        0.416666666667
    """
    law = draft_law(sampling)
    first = draft[0] if law.several_distributions else draft
    _, drafts = law.check(first, draft, num_drafts)
    single = tuple(one[0] for one in drafts) if isinstance(drafts, tuple) else drafts[0]
    members = np.asarray(subset)
    if members.dtype != np.bool_:
        mask = np.zeros(np.shape(first)[-1], dtype=np.bool_)
        mask[members.astype(np.int64)] = True
        members = mask
    return law.containment(single, members, num_drafts)


def _is_single(target: npt.ArrayLike, draft: Any, sampling: str) -> bool:
    first = draft[0] if draft_law(sampling).several_distributions else draft
    return num_dimensions(target) < 2 and num_dimensions(first) < 2
