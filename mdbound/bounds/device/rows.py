"""Torch tensors in, torch tensors out: the same optima, as float64 operations on their device.

Imported only when a tensor is passed. All that the rows of a batch need is decided on the device,
and no row leaves it. What is refused is refused by the CPU's checks, so that every refusal is
worded in one place; only then are rows copied to the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mdbound.bounds import acceptance, from_logits
from mdbound.bounds.device.kernels import KERNELS, Kernel
from mdbound.bounds.device.logits import are_logits, softmax
from mdbound.bounds.device.prefixes import as_curve, columns_of, join_rows
from mdbound.bounds.device.sums import Tensor
from mdbound.bounds.device.tensors import (
    as_rows,
    common_device,
    float64_on,
    on_device,
    to_device,
    to_host,
)
from mdbound.bounds.laws.registry import draft_law
from mdbound.bounds.problem.array_type import is_tensor
from mdbound.bounds.problem.checks import (
    MASS_TOLERANCE,
    SMALLEST_MASS,
    check_num_drafts,
    check_warpers,
)
from mdbound.bounds.problem.solution import AcceptanceCurve
from mdbound.errors import UnsolvedError

WORKING_ENTRIES = 2**24
"""Probabilities of target and drafts that are worked on at a time: 128 MiB."""

Solve = Callable[[Tensor, Sequence[Tensor]], AcceptanceCurve]


def solve_curve(
    target: Any, draft: Any, max_drafts: int, sampling: str, *, strict: bool = True
) -> AcceptanceCurve:
    """As `mdbound.bounds.solve_curve`, with the curve's arrays as tensors on the device.

    Example:
        >>> import torch
        >>> p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
        >>> curve = solve_curve(p, [0.2, 0.5, 0.3], 3, "with_replacement")
        >>> curve.acceptance.round(decimals=6).tolist()
        [[0.7, 0.86, 0.988]]
    """
    law = draft_law(sampling)
    check_num_drafts(max_drafts)
    several = law.num_distributions is None
    device = common_device(target, draft)
    kernel = KERNELS.get(sampling)
    if kernel is not None:
        p = as_rows(float64_on(target, device))
        given = list(draft) if several else [draft]
        drafts = [as_rows(float64_on(one, device)) for one in given]
        if _match(p, drafts) and (not several or len(drafts) >= max_drafts):
            good = _are_distributions(p, 0.0)
            for q in drafts:
                good = good & _are_distributions(q, SMALLEST_MASS if law.renormalises else 0.0)
            if not strict or bool(good.all()):
                curve = _solve_good(
                    lambda p, drafts: kernel.solve(p, drafts, max_drafts),
                    p,
                    drafts[: max_drafts if several else 1],
                    good,
                    max_drafts,
                )
                return _solved_or_refused(curve, strict)
    curve = acceptance.solve_curve(
        to_host(target), to_host(draft), max_drafts, sampling, strict=strict
    )
    return to_device(curve, device)


def solve_curve_from_logits(
    target_logits: Any,
    draft_logits: Any,
    max_drafts: int,
    sampling: str,
    *,
    temperature: float,
    draft_temperature: float | Sequence[float] | None,
    top_k: int | None,
    top_p: float | None,
    strict: bool,
) -> AcceptanceCurve:
    """As `mdbound.bounds.solve_curve_from_logits`, with the curve's arrays as tensors."""
    law = draft_law(sampling)
    check_num_drafts(max_drafts)
    several = law.num_distributions is None
    device = common_device(target_logits, draft_logits)
    kernel = KERNELS.get(sampling)
    heat = temperature if draft_temperature is None else draft_temperature
    given, heats = _drafts_and_heats(draft_logits, heat, several)
    enough = len(given) == len(heats) and (not several or len(given) >= max_drafts)
    if kernel is not None and enough:
        target = as_rows(on_device(target_logits, device))
        drafts = [as_rows(on_device(one, device)) for one in given]
        if target.ndim == 2 and target.shape[1] and {one.shape for one in drafts} == {target.shape}:
            for warmth in (temperature, *heats):
                check_warpers(warmth, top_k, top_p)
            good = are_logits(target)
            for one in drafts:
                good = good & are_logits(one)
            if not strict or bool(good.all()):
                count = max_drafts if several else 1
                curve = _solve_good(
                    _warped(kernel, (temperature, *heats), top_k, top_p, max_drafts),
                    target,
                    drafts[:count],
                    good,
                    max_drafts,
                )
                return _solved_or_refused(curve, strict)
    curve = from_logits.solve_curve_from_logits(
        to_host(target_logits),
        to_host(draft_logits),
        max_drafts,
        sampling,
        temperature=temperature,
        draft_temperature=draft_temperature,
        top_k=top_k,
        top_p=top_p,
        strict=strict,
    )
    return to_device(curve, device)


def _drafts_and_heats(
    draft_logits: Any, heat: float | Sequence[float], several: bool
) -> tuple[list[Any], list[float]]:
    """The drafts' logits and temperatures; lists of different lengths if they do not fit."""
    one_array = is_tensor(draft_logits) and draft_logits.ndim < 3
    if not several:
        return [draft_logits], [float(np.asarray(heat))] if np.isscalar(heat) else []
    if np.isscalar(heat):
        drafts = [draft_logits] if one_array else list(draft_logits)
        return drafts, [float(np.asarray(heat))] * len(drafts)
    heats = [float(one) for one in np.asarray(heat)]
    return [draft_logits] * len(heats) if one_array else list(draft_logits), heats


def _warped(
    kernel: Kernel,
    heats: Sequence[float],
    top_k: int | None,
    top_p: float | None,
    max_drafts: int,
) -> Solve:
    """Solve from logits; their probabilities exist for the rows that are solved together."""

    def solve(target: Tensor, drafts: Sequence[Tensor]) -> AcceptanceCurve:
        p, *q = (
            softmax(float64_on(rows, rows.device), heat, top_k, top_p)
            for rows, heat in zip((target, *drafts), heats, strict=False)
        )
        *columns, error = columns_of(kernel.solve(p, q, max_drafts))
        return as_curve([*columns, error + kernel.softmax_error(q, max_drafts)])

    return solve


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
        curves.append(solve(target[rows], [one[rows] for one in drafts]).with_empty_sets())
    if whole and curves:
        return join_rows(curves)
    columns = columns_of(to_device(AcceptanceCurve.empty(batch, max_drafts), target.device))
    if curves:
        for column, found in zip(columns, columns_of(join_rows(curves)), strict=True):
            column[chosen] = found
    return as_curve(columns)


def _solved_or_refused(curve: AcceptanceCurve, strict: bool) -> AcceptanceCurve:
    unsolved = curve.unsolved
    if strict and unsolved:
        raise UnsolvedError(
            f"row {unsolved[0]}: no optimum within the stated error was found; "
            "solve with strict=False to skip such rows"
        )
    return curve


def _match(p: Tensor, drafts: Sequence[Tensor]) -> bool:
    """Whether rows are over one vocabulary, in shapes that go together."""
    if any(rows.ndim != 2 for rows in (p, *drafts)):
        return False
    one_vocabulary = {rows.shape[1] for rows in drafts} == {p.shape[1]} != {0}
    return one_vocabulary and len({len(rows) for rows in (p, *drafts)} - {1}) <= 1


def _are_distributions(rows: Tensor, smallest: float) -> Tensor:
    """Which rows hold probabilities, none of them between 0 and the smallest; NaN fails."""
    sums = (rows.sum(dim=1) - 1.0).abs() <= MASS_TOLERANCE
    return sums & ((rows >= smallest) | (rows == 0.0)).all(dim=1)
