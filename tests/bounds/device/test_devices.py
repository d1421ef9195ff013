"""Without a GPU: that no tensor is made beside the device, and nothing as large as a row leaves it.

On the CPU mistakes of this kind pass unnoticed. Here tensors are marked as being on "the device":
what is given to the bounds, what is made with an explicit device, and what is computed of such.
"""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds

torch = pytest.importorskip("torch")

VOCAB_SIZE = 700
CASES = [
    ("with_replacement", 3),
    ("without_replacement", 2),
    ("without_replacement", 5),
    ("greedy", 3),
    ("independent", 3),
]
LEAVING = {"cpu", "numpy", "tolist", "item", "__array__", "__bool__", "__float__", "__int__"}


class Watched(torch.overrides.TorchFunctionMode):
    """Marks what is on the device, and refuses what a real one would."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        flat, _ = torch.utils._pytree.tree_flatten((args, kwargs))
        tensors = [one for one in flat if isinstance(one, torch.Tensor)]
        name = function.__name__
        inside = any(map(is_marked, tensors))
        if inside and name in LEAVING:
            assert tensors[0].numel() < VOCAB_SIZE, f"{name} moves {tuple(tensors[0].shape)}"
        if inside and name != "__get__":
            for one in tensors:
                assert is_marked(one) or one.ndim == 0, f"{name} of a tensor beside the device"
        result = function(*args, **kwargs)
        asked = any(isinstance(one, torch.device) for one in flat)
        if (inside or asked) and name not in LEAVING:
            results, _ = torch.utils._pytree.tree_flatten(result)
            for one in results:
                if isinstance(one, torch.Tensor):
                    one.on_the_device = True
        return result


def is_marked(tensor):
    with torch._C.DisableTorchFunction():
        return hasattr(tensor, "on_the_device")


def marked(values, dtype=torch.float64):
    tensor = torch.tensor(np.asarray(values), dtype=dtype)
    tensor.on_the_device = True
    return tensor


def several(draft, sampling):
    return [draft, marked(draft.flip(1)), marked(draft)] if sampling == "independent" else draft


def pair(rows):
    rng = np.random.default_rng(rows)
    return (marked(rng.dirichlet(np.full(VOCAB_SIZE, 0.3), rows)) for _ in range(2))


def test_the_watch_sees_mistakes():
    tensor = marked(np.ones(VOCAB_SIZE))
    with Watched():
        (tensor.sum() + torch.tensor(1.0)).item()
        assert is_marked(torch.arange(3, device=tensor.device))
        with pytest.raises(AssertionError, match="beside the device"):
            tensor + torch.ones(VOCAB_SIZE)
        with pytest.raises(AssertionError, match="moves"):
            (tensor + 1.0).cpu()


@pytest.mark.parametrize(("sampling", "max_drafts"), CASES)
def test_from_probabilities(sampling, max_drafts):
    p, q = pair(4)
    drafts = several(q, sampling)
    expected = bounds.solve_curve(p, drafts, max_drafts, sampling).acceptance
    with Watched():
        found = bounds.solve_curve(p, drafts, max_drafts, sampling)
        assert is_marked(found.acceptance)
    assert torch.equal(found.acceptance, expected)
    p[2, 5] = torch.nan
    with Watched():
        assert bounds.solve_curve(p, drafts, max_drafts, sampling, strict=False).unsolved == [2]


@pytest.mark.parametrize(("sampling", "max_drafts"), CASES)
@pytest.mark.parametrize(
    "warpers", [{}, {"top_k": 20, "top_p": 0.9}, {"temperature": 0.0, "draft_temperature": 1.0}]
)
def test_from_logits(sampling, max_drafts, warpers):
    p, q = pair(3)
    logits = [marked(rows.log(), torch.float32) for rows in (p, q)]
    logits[0][1] = torch.nan
    drafts = several(logits[1], sampling)
    with Watched():
        curve = bounds.solve_curve_from_logits(
            logits[0], drafts, max_drafts, sampling, strict=False, **warpers
        )
        assert is_marked(curve.error_bound)
        assert curve.unsolved == [1]
        bounds.entropy_from_logits(logits[1], 0.7, warpers.get("top_k"))


def test_rows_in_a_list():
    p, q = pair(3)
    with Watched():
        found = bounds.acceptance_curve([p[0], p[1], p[2]], q, 2)
        assert found.shape == (3, 2)
        logits = [p[0].log(), p[1].log()]
        assert bounds.acceptance_curve_from_logits(logits, logits, 2).shape == (2, 2)
        assert bounds.acceptance_curve(p[0], [q[0], q[1]], 2, "independent").shape == (2,)


def test_tokens_of_answers():
    from mdbound.logits_cache.capturing.generate import sample_tokens

    (p, _) = pair(3)
    with Watched():
        for temperature in (0.0, 0.7):
            generators = [np.random.default_rng(k) for k in range(3)]
            assert len(sample_tokens(p, bounds.Warpers(temperature), generators)) == 3
