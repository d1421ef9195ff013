"""Tensors in, tensors out: the same optima, as float64 operations on the tensors' device.

Imported only when a tensor is passed. All that the rows of a batch need is decided on the device,
and no row leaves it. What is to be refused, or is not solved here, is declined: the doors then ask
the host, whose checks word every refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mdbound.bounds.device.kernels import KERNELS
from mdbound.bounds.device.logits import softmax
from mdbound.bounds.device.prefixes import as_curve, columns_of, join_rows
from mdbound.bounds.device.sums import Tensor
from mdbound.bounds.device.tensors import as_rows, common_device, float64_on, to_device
from mdbound.bounds.laws.draft_law import DraftLaw
from mdbound.bounds.problem.checks import (
    SMALLEST_MASS,
    are_distributions,
    are_logits,
    check_num_drafts,
)
from mdbound.bounds.problem.logits_problem import LogitsProblem
from mdbound.bounds.problem.solution import AcceptanceCurve

WORKING_ENTRIES = 2**24
"""Probabilities of target and drafts that are worked on at a time: 128 MiB."""

Solve = Callable[[Tensor, Sequence[Tensor]], AcceptanceCurve]


def solve_curve(law: DraftLaw, target: Any, draft: Any, max_drafts: int) -> AcceptanceCurve | None:
    """As `mdbound.bounds.solve_curve` without `strict`, with the curve's arrays as tensors.

    Args:
        law: the draft law.
        target: p, (V,) or (B, V), a tensor or what is to become one.
        draft: q, likewise; for laws with several distributions a sequence of such.
        max_drafts: N.

    Returns:
        The curve, with bad rows NaN; None, if the law has no kernel here, or the shapes or numbers
        of the arrays are to be refused.

    Raises:
        InvalidSettingError: max_drafts is below 1.
        InvalidDistributionError: tensors on several devices, or on one without float64.

    Example:
        >>> import torch
        >>> from mdbound.bounds.laws.registry import draft_law
        >>> p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
        >>> curve = solve_curve(draft_law("with_replacement"), p, [0.2, 0.5, 0.3], 3)
        >>> curve.acceptance.round(decimals=6).tolist()
        [[0.7, 0.86, 0.988]]
    """
    check_num_drafts(max_drafts)
    kernel = KERNELS.get(law.name)
    if kernel is None:
        return None
    several = law.several_distributions
    device = common_device(target, draft)
    p = as_rows(float64_on(target, device))
    drafts = [as_rows(float64_on(one, device)) for one in (draft if several else [draft])]
    if not _match(p, drafts) or (several and len(drafts) < max_drafts):
        return None
    smallest = SMALLEST_MASS if law.renormalises else 0.0
    good = are_distributions(p, 0.0)
    for q in drafts:
        good = good & are_distributions(q, smallest)
    used = drafts[: max_drafts if several else 1]
    return _solve_good(
        lambda p, drafts: kernel.solve(p, drafts, max_drafts), p, used, good, max_drafts
    )


def solve_logits(
    law: DraftLaw, problem: LogitsProblem[Tensor], max_drafts: int
) -> AcceptanceCurve | None:
    """As `mdbound.bounds.solve_curve_from_logits` without `strict`, with tensors in the curve.

    Args:
        law: the draft law, which can draw max_drafts from the drafts.
        problem: rows on one device.
        max_drafts: N.

    Returns:
        The curve, with bad rows NaN; None, if the law has no kernel here.
    """
    kernel = KERNELS.get(law.name)
    if kernel is None:
        return None
    used = problem.drafts[: max_drafts if law.several_distributions else 1]
    good = are_logits(problem.target.amax(dim=1))
    for rows in problem.drafts:
        good = good & are_logits(rows.amax(dim=1))

    def solve(target: Tensor, drafts: Sequence[Tensor]) -> AcceptanceCurve:
        # Probabilities exist for the rows that are solved together.
        p, *q = (
            softmax(float64_on(rows, rows.device), warpers)
            for rows, warpers in zip((target, *drafts), problem.all_warpers, strict=False)
        )
        *columns, error = columns_of(kernel.solve(p, q, max_drafts))
        return as_curve([*columns, error + kernel.softmax_error(q, max_drafts)])

    return _solve_good(solve, problem.target, used, good, max_drafts)


def _solve_good(
    solve: Solve, target: Tensor, drafts: Sequence[Tensor], good: Tensor, max_drafts: int
) -> AcceptanceCurve:
    """Solve the good rows, as many at a time as `WORKING_ENTRIES` allows; the others are NaN.

    Single rows go with every row of the others.
    """
    batch = max(len(rows) for rows in (target, *drafts))
    if min(len(rows) for rows in (target, *drafts)) == 0:
        batch = 0
    target, *drafts = (rows.expand(batch, -1) for rows in (target, *drafts))
    good = good.expand(batch)
    step = max(1, WORKING_ENTRIES // (target.shape[1] * (1 + len(drafts))))
    whole = bool(good.all())
    chosen = good.nonzero()[:, 0]
    curves = []
    for start in range(0, len(chosen), step):
        rows = slice(start, start + step) if whole else chosen[start : start + step]
        curves.append(solve(target[rows], [one[rows] for one in drafts]))
    if whole and curves:
        return join_rows(curves)
    columns = columns_of(to_device(AcceptanceCurve.empty(batch, max_drafts), target.device))
    if curves:
        for column, found in zip(columns, columns_of(join_rows(curves)), strict=True):
            column[chosen] = found
    return as_curve(columns)


def _match(p: Tensor, drafts: Sequence[Tensor]) -> bool:
    """Whether rows are over one vocabulary, in shapes that go together."""
    if any(rows.ndim != 2 for rows in (p, *drafts)):
        return False
    one_vocabulary = {rows.shape[1] for rows in drafts} == {p.shape[1]} != {0}
    return one_vocabulary and len({len(rows) for rows in (p, *drafts)} - {1}) <= 1
