"""Optimal acceptance straight from rows of raw logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.registry import draft_law
from mdbound.bounds.logits import distribution_from_logits
from mdbound.bounds.problem.array_type import holds_tensor, num_dimensions
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.problem.checks import check_logits, check_num_drafts, check_warpers
from mdbound.bounds.problem.solution import AcceptanceCurve
from mdbound.errors import InvalidDistributionError, InvalidSettingError, UnsolvedError


def acceptance_curve_from_logits(
    target_logits: npt.ArrayLike,
    draft_logits: Any,
    max_drafts: int,
    sampling: str = "with_replacement",
    temperature: float = 1.0,
    draft_temperature: float | Sequence[float] | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    *,
    strict: bool = True,
) -> FloatArray:
    """Optimal acceptance for n = 1..max_drafts from raw logits; see `solve_curve_from_logits`.

    Returns:
        Shape (max_drafts,) for one row of logits, (B, max_drafts) for a batch.

    Example:
        >>> acceptance_curve_from_logits([0.0, 1.0], [1.0, 0.0], 2).round(4).tolist()
        [0.5379, 0.7345]
    """
    curve = solve_curve_from_logits(
        target_logits,
        draft_logits,
        max_drafts,
        sampling,
        temperature=temperature,
        draft_temperature=draft_temperature,
        top_k=top_k,
        top_p=top_p,
        strict=strict,
    )
    return curve.acceptance[0] if num_dimensions(target_logits) < 2 else curve.acceptance


def solve_curve_from_logits(
    target_logits: npt.ArrayLike,
    draft_logits: Any,
    max_drafts: int,
    sampling: str = "with_replacement",
    *,
    temperature: float = 1.0,
    draft_temperature: float | Sequence[float] | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    strict: bool = True,
) -> AcceptanceCurve:
    """Acceptance, optimal sets and error bounds for n = 1..max_drafts from raw logits.

    Both models are warped alike (temperature, then top-k, then top-p), but for their
    temperatures. Torch tensors are solved on their device, as in `solve_curve`.

    Args:
        target_logits: shape (V,) or (B, V).
        draft_logits: the same shape; for `"independent"` a sequence of K such arrays, or one
            array that a sequence of K draft temperatures turns into K distributions.
        max_drafts: N, at least 1.
        sampling: one of `SAMPLING_LAWS`.
        temperature: of the target.
        draft_temperature: of the drafts, one number or for `"independent"` one per draft;
            None takes the target's.
        top_k: as `distribution_from_logits`, for target and drafts.
        top_p: likewise.
        strict: raise for a row that holds no logits or cannot be solved; otherwise it is NaN.

    Raises:
        InvalidDistributionError: naming the row, with `strict`; shapes that differ, always.
        InvalidSettingError: a setting is out of range.
        UnsolvedError: naming the row, with `strict`.

    Example:
        >>> curve = solve_curve_from_logits([[0.0, 1.0]], [[1.0, 0.0]], 1)
        >>> curve.subset_size.tolist()
        [[1]]
    """
    if holds_tensor(target_logits, draft_logits):
        from mdbound.bounds.device import rows as torch_rows

        return torch_rows.solve_curve_from_logits(
            target_logits,
            draft_logits,
            max_drafts,
            sampling,
            temperature=temperature,
            draft_temperature=draft_temperature,
            top_k=top_k,
            top_p=top_p,
            strict=strict,
        )
    law = draft_law(sampling)
    target = np.atleast_2d(np.asarray(target_logits))
    several = law.num_distributions is None
    drafts, temperatures = _drafts_with_temperatures(
        draft_logits, temperature, draft_temperature, several
    )
    for draft in drafts:
        if draft.shape != target.shape:
            raise InvalidDistributionError(
                f"target logits have shape {target.shape} and draft logits {draft.shape}: "
                "give the same vocabulary and the same number of rows"
            )
    check_num_drafts(max_drafts)
    for one in (temperature, *temperatures):
        check_warpers(one, top_k, top_p)
    if _takes_fast_path(target, drafts, temperature, temperatures, top_k, top_p):
        if several and len(drafts) < max_drafts:
            law.check(np.ones(1), [np.ones(1)] * len(drafts), max_drafts)
        curve = law.curve_from_logits(target, drafts, temperature, temperatures, max_drafts)
        if strict:
            _raise_for_unsolved(curve, target, drafts)
        return curve
    rows = np.arange(len(target)) if strict else _usable_rows(target, drafts)
    if len(rows) == 0:
        return AcceptanceCurve.empty(len(target), max_drafts)
    p = distribution_from_logits(target[rows], temperature, top_k, top_p)
    q = tuple(
        distribution_from_logits(draft[rows], one, top_k, top_p)
        for draft, one in zip(drafts, temperatures, strict=True)
    )
    checked = law.check(p, q if several else q[0], max_drafts)
    return law.curve(*checked, max_drafts, strict).among(rows, len(target))


def _takes_fast_path(
    target: npt.NDArray[Any],
    drafts: list[npt.NDArray[Any]],
    temperature: float,
    temperatures: list[float],
    top_k: int | None,
    top_p: float | None,
) -> bool:
    """Float32 rows without truncation go to the law's own kernel, others through probabilities."""
    untruncated = (top_k is None or top_k >= target.shape[1]) and (top_p is None or top_p == 1.0)
    float32 = all(array.dtype == np.float32 for array in (target, *drafts))
    return untruncated and float32 and min(temperature, *temperatures) > 0.0


def _raise_for_unsolved(
    curve: AcceptanceCurve, target: npt.NDArray[Any], drafts: list[npt.NDArray[Any]]
) -> None:
    unsolved = np.flatnonzero(np.isnan(curve.acceptance).any(axis=1))
    if len(unsolved) == 0:
        return
    for array in (target, *drafts):
        check_logits(array)
    raise UnsolvedError(
        f"row {unsolved[0]}: no optimum within the stated error was found; "
        "solve with strict=False to skip such rows"
    )


def _drafts_with_temperatures(
    draft_logits: Any,
    temperature: float,
    draft_temperature: float | Sequence[float] | None,
    several: bool,
) -> tuple[list[npt.NDArray[Any]], list[float]]:
    if draft_temperature is None:
        draft_temperature = temperature
    if not several:
        if not np.isscalar(draft_temperature):
            raise InvalidSettingError(
                f"draft_temperature is {draft_temperature}: this draft law takes one number"
            )
        return [np.atleast_2d(np.asarray(draft_logits))], [float(np.asarray(draft_temperature))]
    one_array = isinstance(draft_logits, np.ndarray) and draft_logits.ndim < 3
    if np.isscalar(draft_temperature):
        arrays = [draft_logits] if one_array else list(draft_logits)
        temperatures = [float(np.asarray(draft_temperature))] * len(arrays)
    else:
        temperatures = [float(one) for one in np.asarray(draft_temperature)]
        arrays = [draft_logits] * len(temperatures) if one_array else list(draft_logits)
    if len(arrays) != len(temperatures):
        raise InvalidSettingError(
            f"{len(temperatures)} draft temperatures for {len(arrays)} drafts: give one each"
        )
    return [np.atleast_2d(np.asarray(array)) for array in arrays], temperatures


def _usable_rows(target: npt.NDArray[Any], drafts: list[npt.NDArray[Any]]) -> npt.NDArray[np.intp]:
    usable = np.ones(len(target), dtype=np.bool_)
    for array in (target, *drafts):
        for row in range(len(array)):
            try:
                check_logits(array[row : row + 1])
            except InvalidDistributionError:
                usable[row] = False
    return np.flatnonzero(usable)
