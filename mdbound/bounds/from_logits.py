"""Optimal acceptance straight from rows of raw logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mdbound.bounds.laws.draft_law import DraftLaw
from mdbound.bounds.laws.registry import draft_law
from mdbound.bounds.problem.any_array import holds_tensor, host_array, num_dimensions, plain_floats
from mdbound.bounds.problem.array_types import FloatArray
from mdbound.bounds.problem.checks import check_logits
from mdbound.bounds.problem.logits_problem import LogitsProblem, pair_drafts
from mdbound.bounds.problem.solution import AcceptanceCurve, refuse_unsolved
from mdbound.bounds.problem.warpers import Warpers


def acceptance_curve_from_logits(
    target_logits: npt.ArrayLike,
    draft_logits: Any,
    max_drafts: int,
    sampling: str = "with_replacement",
    temperature: float = 1.0,
    draft_temperature: float | Sequence[float] | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
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
        min_p=min_p,
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
    min_p: float | None = None,
    strict: bool = True,
) -> AcceptanceCurve:
    """Acceptance, optimal sets and error bounds for n = 1..max_drafts from raw logits.

    Both models are warped alike (temperature, then top-k, top-p, min-p), but for their
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
        min_p: likewise.
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
    law = draft_law(sampling)
    warpers = Warpers(temperature, top_k, top_p, min_p)
    drafts, draft_warpers = pair_drafts(
        draft_logits, warpers, draft_temperature, law.several_distributions
    )
    law.check_num_drafts(max_drafts, len(drafts))
    tensors = holds_tensor(target_logits, draft_logits)
    as_rows = _tensor_rows if tensors else _array_rows
    target, *others = as_rows(target_logits, *drafts)
    problem = LogitsProblem(target, tuple(others), warpers, tuple(draft_warpers))
    curve = (_solve_tensors if tensors else _solve_arrays)(law, problem, max_drafts)
    if strict and curve.unsolved:
        for rows in _array_rows(*problem.batches):
            check_logits(rows)  # a row that holds no logits is named as such
        refuse_unsolved(curve)
    return curve.settled()


def _array_rows(*logits: Any) -> list[npt.NDArray[Any]]:
    """Each as rows on the host, of the float type that it has."""
    return [plain_floats(np.atleast_2d(np.asarray(host_array(one)))) for one in logits]


def _tensor_rows(*logits: Any) -> list[Any]:
    """Each as rows on the one device of the tensors among them."""
    from mdbound.bounds.device.tensors import as_rows, common_device, on_device

    device = common_device(*logits)
    return [as_rows(on_device(one, device)) for one in logits]


def _solve_tensors(law: DraftLaw, problem: LogitsProblem[Any], max_drafts: int) -> AcceptanceCurve:
    """Solve on the device or, where it declines, on the host."""
    from mdbound.bounds.device import rows as device_rows
    from mdbound.bounds.device.tensors import to_device

    curve = device_rows.solve_logits(law, problem, max_drafts)
    if curve is not None:
        return curve
    target, *drafts = _array_rows(*problem.batches)
    on_host = _solve_arrays(law, replace(problem, target=target, drafts=tuple(drafts)), max_drafts)
    return to_device(on_host, problem.target.device)


def _solve_arrays(
    law: DraftLaw, problem: LogitsProblem[npt.NDArray[Any]], max_drafts: int
) -> AcceptanceCurve:
    """Float32 rows without truncation go to the law's own kernel, others through probabilities."""
    plain = all(warpers.is_softmax(problem.vocab_size) for warpers in problem.all_warpers)
    if plain and all(batch.dtype == np.float32 for batch in problem.batches):
        return law.curve_from_logits(problem, max_drafts)
    return law.curve_through_probabilities(problem, max_drafts)
