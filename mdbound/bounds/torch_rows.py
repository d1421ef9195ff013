"""Torch tensors in, torch tensors out: the same optima, as float64 operations on their device.

Imported only when a tensor is passed. `"with_replacement"`, `"greedy"`, and
`"without_replacement"` up to two drafts run on the device, the rows of a batch together. The rest
goes through the CPU kernels, to the host and back: other laws, three or more drafts without
replacement, and input that the checks may refuse, so that every refusal is worded in one place.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, cast

import numpy as np
import torch

from mdbound.bounds import acceptance, distributions, from_logits
from mdbound.bounds.array_type import holds_tensor, is_tensor
from mdbound.bounds.distributions import MASS_TOLERANCE, check_num_drafts, check_warpers
from mdbound.bounds.draft_laws import draft_law
from mdbound.bounds.solution import AcceptanceCurve
from mdbound.bounds.torch_kernels import KERNELS, Kernel, Tensor, as_curve
from mdbound.errors import InvalidDistributionError

WORKING_ENTRIES = 2**23
"""Probabilities of target and draft that are worked on at a time, each: 64 MiB per tensor."""


def distribution_from_logits(
    logits: Any,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """As `mdbound.bounds.distribution_from_logits`, on the tensor's device.

    Where the mass before a token meets `top_p` up to rounding, device and CPU may differ by that
    token: their exponentials differ in the last digit.

    Example:
        >>> distribution_from_logits(torch.tensor([0.0, 0.0, -torch.inf])).tolist()
        [0.5, 0.5, 0.0]
    """
    check_warpers(temperature, top_k, top_p)
    values = _float64(logits, _common_device(logits))
    rows = _as_rows(values)
    if not _are_logits(rows):
        distributions.check_logits(rows.cpu().numpy())
    return _softmax(rows, temperature, top_k, top_p).reshape(values.shape)


def solve_curve(
    target: Any, draft: Any, max_drafts: int, sampling: str, *, strict: bool = True
) -> AcceptanceCurve:
    """As `mdbound.bounds.solve_curve`, with the curve's arrays as tensors on the device.

    Example:
        >>> p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
        >>> curve = solve_curve(p, [0.2, 0.5, 0.3], 3, "with_replacement")
        >>> curve.acceptance.round(decimals=6).tolist()
        [[0.7, 0.86, 0.988]]
    """
    device = _common_device(target, draft)
    kernel = _kernel(sampling, max_drafts)
    if kernel is not None:
        p, q = (_as_rows(_float64(rows, device)) for rows in (target, draft))
        if _is_pair(p, q):
            return _in_blocks(kernel, p, q, max_drafts)
    curve = acceptance.solve_curve(
        _to_host(target), _to_host(draft), max_drafts, sampling, strict=strict
    )
    return _to_device(curve, device)


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
    """As `mdbound.bounds.solve_curve_from_logits`, with the curve's arrays as tensors.

    A batch with a row that holds no logits goes through the CPU kernels as a whole, which refuse
    it or, without `strict`, leave that row NaN.
    """
    device = _common_device(target_logits, draft_logits)
    kernel = _kernel(sampling, max_drafts)
    draft_heat = temperature if draft_temperature is None else draft_temperature
    if kernel is not None and np.isscalar(draft_heat):
        heats = (float(temperature), float(cast(float, draft_heat)))
        rows = [_as_rows(_on(logits, device)) for logits in (target_logits, draft_logits)]
        if rows[0].shape == rows[1].shape and all(map(_are_logits, rows)):
            for heat in heats:
                check_warpers(heat, top_k, top_p)
            warped = functools.partial(_warped_kernel, kernel, heats, top_k, top_p)
            return _in_blocks(warped, rows[0], rows[1], max_drafts)
    curve = from_logits.solve_curve_from_logits(
        _to_host(target_logits),
        _to_host(draft_logits),
        max_drafts,
        sampling,
        temperature=temperature,
        draft_temperature=draft_temperature,
        top_k=top_k,
        top_p=top_p,
        strict=strict,
    )
    return _to_device(curve, device)


def _kernel(sampling: str, max_drafts: int) -> Kernel | None:
    """The law's solver on the device, or None where there is only the CPU's."""
    draft_law(sampling)
    if check_num_drafts(max_drafts) > 2 and sampling == "without_replacement":
        return None
    return KERNELS.get(sampling)


def _warped_kernel(
    kernel: Kernel,
    heats: tuple[float, float],
    top_k: int | None,
    top_p: float | None,
    target_logits: Tensor,
    draft_logits: Tensor,
    max_drafts: int,
) -> AcceptanceCurve:
    p = _softmax(_float64(target_logits, target_logits.device), heats[0], top_k, top_p)
    q = _softmax(_float64(draft_logits, draft_logits.device), heats[1], top_k, top_p)
    return kernel(p, q, max_drafts)


def _softmax(rows: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
    if temperature == 0.0:
        return torch.zeros_like(rows).scatter(1, rows.argmax(dim=1, keepdim=True), 1.0)
    rows = (rows - rows.amax(dim=1, keepdim=True)) / temperature
    if top_k is not None and top_k < rows.shape[1]:
        kth_largest = rows.topk(top_k, dim=1).values[:, -1:]
        rows = rows.masked_fill(rows < kth_largest, -torch.inf)
    probabilities = rows.exp()
    probabilities = probabilities / probabilities.sum(dim=1, keepdim=True)
    return probabilities if top_p is None or top_p == 1.0 else _nucleus(probabilities, top_p)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    ranked, order = probabilities.sort(dim=1, descending=True, stable=True)
    removed = ranked.cumsum(dim=1) - ranked >= top_p
    # The first token stays whatever rounding says of the mass before it.
    removed[:, 0] = False
    kept = torch.zeros_like(ranked).scatter(1, order, ranked.masked_fill(removed, 0.0))
    return kept / kept.sum(dim=1, keepdim=True)


def _in_blocks(kernel: Kernel, target: Tensor, draft: Tensor, max_drafts: int) -> AcceptanceCurve:
    """Solve as many rows at a time as `WORKING_ENTRIES` allows, and join the curves.

    A single row on one side goes with every row of the other.
    """
    batch = len(draft) if len(target) == 1 else len(target)
    target, draft = target.expand(batch, -1), draft.expand(batch, -1)
    curves = [
        kernel(target[rows], draft[rows], max_drafts) for rows in _row_blocks(*target.shape)
    ] or [_curve_of_no_rows(max_drafts, target.device)]
    columns = [
        torch.cat([getattr(curve, field.name) for curve in curves])
        for field in fields(AcceptanceCurve)
    ]
    return as_curve(columns)


def _row_blocks(rows: int, vocab_size: int) -> Iterator[slice]:
    step = max(1, WORKING_ENTRIES // vocab_size)
    return (slice(start, start + step) for start in range(0, rows, step))


def _curve_of_no_rows(max_drafts: int, device: torch.device) -> AcceptanceCurve:
    return _to_device(AcceptanceCurve.empty(0, max_drafts), device)


def _is_pair(p: Tensor, q: Tensor) -> bool:
    """Whether these are distributions over one vocabulary, in shapes that go together."""
    matching = p.ndim == q.ndim == 2 and p.shape[1] == q.shape[1] > 0
    return (
        matching
        and (len(p) == len(q) or 1 in (len(p), len(q)))
        and all(
            bool(((rows >= 0.0).all(dim=1) & _sums_to_one(rows)).all())  # NaN fails both
            for rows in (p, q)
        )
    )


def _sums_to_one(rows: Tensor) -> Tensor:
    return (rows.sum(dim=1) - 1.0).abs() <= MASS_TOLERANCE


def _are_logits(rows: Tensor) -> bool:
    # A row's maximum is NaN, +inf or -inf exactly when the row is bad.
    return rows.ndim == 2 and rows.shape[1] > 0 and bool(rows.amax(dim=1).isfinite().all())


def _common_device(*arguments: Any) -> torch.device:
    """The device of the tensors among the arguments; everything else is brought to it."""
    flat = [
        one
        for argument in arguments
        for one in (argument if isinstance(argument, list | tuple) else [argument])
    ]
    devices = list(dict.fromkeys(one.device for one in flat if is_tensor(one)))
    if len(devices) > 1:
        raise InvalidDistributionError(
            f"target and drafts are on {' and '.join(map(str, devices))}: "
            "move them to one device with .to(device)"
        )
    return cast(torch.device, devices[0])


def _on(values: Any, device: torch.device) -> Tensor:
    """The values as a tensor on the device, in their own type if they are tensors."""
    if is_tensor(values):
        return cast(Tensor, values).detach()
    if holds_tensor(values):
        return torch.stack([_on(one, device) for one in values])
    return torch.tensor(np.asarray(values, dtype=np.float64), device=device)


def _as_rows(values: Tensor) -> Tensor:
    return values[None] if values.ndim == 1 else values


def _float64(values: Any, device: torch.device) -> Tensor:
    tensor = _on(values, device)
    try:
        return tensor.to(torch.float64)
    except TypeError as error:  # Apple's devices
        raise InvalidDistributionError(
            f"device {tensor.device} has no float64, which the bounds need; pass tensor.cpu()"
        ) from error


def _to_host(values: Any) -> Any:
    """Tensors as arrays; those numpy has no type for become float32, which holds them exactly."""
    if isinstance(values, list | tuple):
        return [_to_host(one) for one in values]
    if not is_tensor(values):
        return values
    tensor = cast(Tensor, values).detach().cpu()
    short = tensor.is_floating_point() and tensor.element_size() < 4
    return (tensor.float() if short else tensor).numpy()


def _to_device(curve: AcceptanceCurve, device: torch.device) -> AcceptanceCurve:
    return as_curve(
        [torch.from_numpy(getattr(curve, each.name)).to(device) for each in fields(curve)]
    )
