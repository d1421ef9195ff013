"""Tensors give what arrays give: values, shapes, semantics of ties and masks, refusals."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mdbound import bounds
from mdbound.errors import InvalidDistributionError, InvalidSettingError, UnsolvedError
from tests.bounds.device.cases import DEVICES, LAWS, assert_same_curve, several, to
from tests.hard_rows import adversarial_pairs

torch = pytest.importorskip("torch")


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
def test_adversarial_rows(device, sampling, max_drafts):
    for p, q in adversarial_pairs(200, seed=3, max_vocab=6):
        drafts = several(q, sampling, max_drafts)
        expected = bounds.solve_curve(p, drafts, max_drafts, sampling)
        tensors = several(to(q, device), sampling, max_drafts)
        found = bounds.solve_curve(to(p, device), tensors, max_drafts, sampling)
        assert_same_curve(found, expected, atol=1e-14)


@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
@pytest.mark.parametrize("vocab_size", [1, 2, 255, 256, 257, 5000])
def test_batches_of_any_width(device, sampling, max_drafts, vocab_size):
    rng = np.random.default_rng(vocab_size)
    p, q = (rng.dirichlet(np.full(vocab_size, 0.3), 7) for _ in range(2))
    p, q = (rows / rows.sum(axis=1, keepdims=True) for rows in (p, q))
    q[0], p[1] = p[0], np.eye(vocab_size)[0]
    q[2] = np.eye(vocab_size)[-1]
    expected = bounds.solve_curve(p, several(q, sampling, max_drafts), max_drafts, sampling)
    tensors = several(to(q, device), sampling, max_drafts)
    found = bounds.solve_curve(to(p, device), tensors, max_drafts, sampling)
    assert_same_curve(found, expected)
    assert found.acceptance.device.type == device


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_the_same_distribution_twice_needs_no_set(device, sampling):
    p = to(np.random.default_rng(0).dirichlet(np.ones(3000), 3), device)
    p /= p.sum(dim=1, keepdim=True)
    curve = bounds.solve_curve(p, p, 2, sampling)
    assert float((curve.acceptance - 1.0).abs().max()) < 1e-12
    assert curve.subset_size[:, 0].tolist() == [0, 0, 0]


def test_heavy_token_does_not_cancel_pairs_without_replacement(device):
    p, q = [0.2, 0.5, 0.3], [1e-17, 1.0 - 2e-17, 1e-17]
    expected = bounds.optimal_acceptance(p, q, 2, "without_replacement")
    found = bounds.optimal_acceptance(to(p, device), to(q, device), 2, "without_replacement")
    assert found == pytest.approx(expected, abs=1e-15)


def test_token_that_is_never_drafted_beside_one_of_subnormal_mass(device):
    # p/q overflows for token 2, which must not rank with token 1, which has no draft mass.
    p, q = to([0.0, 0.5, 0.5], device), to([1.0, 0.0, 1e-310], device)
    assert bounds.optimal_acceptance(p, q, 2, "with_replacement") == 0.0
    with pytest.raises(InvalidDistributionError, match="draft row 0: the probability of token 2"):
        bounds.optimal_acceptance(p, q, 2, "without_replacement")
    curve = bounds.solve_curve(p, q, 2, "without_replacement", strict=False)
    assert curve.unsolved == [0]


EXITS = ("cpu", "numpy", "tolist", "__array__", "to")
"""Methods by which a tensor's numbers reach the host."""


def refuse_exits(monkeypatch, rows):
    """Raise where a tensor with as many numbers as a row, or more, leaves for the host."""

    def watched(name, leave):
        def method(tensor, *args, **kwargs):
            host = name != "to" or "cpu" in map(str, [*args, *kwargs.values()])
            if host and tensor.numel() >= rows:
                raise AssertionError(f"{tensor.numel()} numbers left by {name}")
            return leave(tensor, *args, **kwargs)

        return method

    for name in EXITS:
        monkeypatch.setattr(torch.Tensor, name, watched(name, getattr(torch.Tensor, name)))


@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
def test_no_row_leaves_the_device(device, sampling, max_drafts, monkeypatch):
    p, q = (to(np.random.default_rng(k).dirichlet(np.ones(40), 3), device) for k in (1, 2))
    logits = [rows.float().log() for rows in (p, q)]
    refuse_exits(monkeypatch, 40)
    bounds.solve_curve(p, several(q, sampling, 5), max_drafts, sampling)
    bounds.solve_curve_from_logits(
        logits[0], several(logits[1], sampling, 5), max_drafts, sampling, strict=False, top_k=9
    )


def test_a_row_that_leaves_is_seen(device, monkeypatch):
    from mdbound.bounds.device import kernels

    p, q = (to(np.random.default_rng(k).dirichlet(np.ones(40), 3), device) for k in (1, 2))
    # Without a kernel the rows go to the host.
    monkeypatch.delitem(kernels.KERNELS, "greedy")
    refuse_exits(monkeypatch, 40)
    with pytest.raises(AssertionError, match="120 numbers left by cpu"):
        bounds.solve_curve(p, q, 2, "greedy")


@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
def test_rows_seen_through_strides(device, sampling, max_drafts):
    p, q = (np.random.default_rng(k).dirichlet(np.ones(60), 5) for k in (1, 2))
    strided = [to(rows.T.copy(), device).T for rows in (p, q)]
    wide = [to(np.repeat(rows, 2, axis=1), device)[::2, ::2] for rows in (p, q)]
    assert not strided[0].is_contiguous()
    for (one, other), rows in ((strided, slice(None)), (wide, slice(None, None, 2))):
        expected = bounds.solve_curve(p[rows], several(q[rows], sampling, 5), max_drafts, sampling)
        found = bounds.solve_curve(one, several(other, sampling, 5), max_drafts, sampling)
        assert_same_curve(found, expected)


def test_one_row_is_a_float_and_a_batch_a_tensor(device):
    p, q = to([0.5, 0.3, 0.2], device), to([0.2, 0.5, 0.3], device)
    single = bounds.optimal_acceptance(p, q, 2)
    assert isinstance(single, float)
    assert single == pytest.approx(0.86)
    assert bounds.acceptance_curve(p, q, 3).shape == (3,)
    assert bounds.optimal_acceptance(p, q.expand(4, 3), 2).tolist() == [single] * 4
    assert bounds.acceptance_curve(p[None], q, 3).shape == (1, 3)
    assert bounds.acceptance_curve_from_logits(p, q, 2).shape == (2,)
    assert bounds.acceptance_curve_from_logits(p[None], q[None], 2).shape == (1, 2)
    assert bounds.acceptance_curve(p.expand(0, 3), q.expand(0, 3), 2).shape == (0, 2)


def test_array_beside_a_tensor_and_rows_in_a_list(device):
    p, q = [0.5, 0.3, 0.2], [0.2, 0.5, 0.3]
    expected = bounds.optimal_acceptance(p, q, 2)
    assert bounds.optimal_acceptance(p, to(q, device), 2) == expected
    assert bounds.optimal_acceptance(to(p, device), np.array(q), 2) == expected
    listed = [to(q, device), to(p, device)]
    assert bounds.optimal_acceptance(to(p, device), listed, 2).tolist() == [expected, 1.0]


def test_rows_that_do_not_fit_together_are_solved_in_turn(device, monkeypatch):
    from mdbound.bounds.device import rows as torch_rows

    p, q = (np.random.default_rng(k).dirichlet(np.ones(50), 7) for k in (1, 2))
    monkeypatch.setattr(torch_rows, "WORKING_ENTRIES", 220)
    for law in ("with_replacement", "without_replacement"):
        found = bounds.acceptance_curve(to(p, device), to(q, device), 4, law)
        np.testing.assert_allclose(found.cpu(), bounds.acceptance_curve(p, q, 4, law), atol=1e-13)


def test_a_law_without_a_kernel_goes_through_the_host(device, monkeypatch):
    from mdbound.bounds.device import rows as torch_rows

    p, q = (to(np.random.default_rng(k).dirichlet(np.ones(30), 4), device) for k in (1, 2))
    expected = bounds.acceptance_curve(p, q, 3, "greedy")
    bounds_of_logits = bounds.acceptance_curve_from_logits(p, q, 3, "greedy", top_k=5)
    monkeypatch.delitem(torch_rows.KERNELS, "greedy")
    found = bounds.acceptance_curve(p, q, 3, "greedy")
    assert found.device.type == device
    np.testing.assert_allclose(found.cpu(), expected.cpu(), rtol=0, atol=1e-13)
    found = bounds.acceptance_curve_from_logits(p, q, 3, "greedy", top_k=5)
    np.testing.assert_allclose(found.cpu(), bounds_of_logits.cpu(), rtol=0, atol=1e-13)


GOOD = [[0.5, 0.5], [0.25, 0.75]]


@pytest.mark.parametrize(
    ("target", "draft", "arguments"),
    [
        ([[0.5, 0.5], [0.5, 0.6]], GOOD, (2,)),
        (GOOD, [[0.5, 0.5], [1.5, -0.5]], (2,)),
        (GOOD, [[np.nan, 0.5], [0.5, 0.5]], (2, "greedy")),
        (GOOD, [[0.5, 0.25, 0.25]] * 2, (2,)),
        (GOOD, [[0.5, 0.5]] * 3, (2, "without_replacement")),
        ([[[0.5, 0.5]]], GOOD, (2,)),
        (GOOD, GOOD, (0,)),
        (GOOD, GOOD, (True,)),
        (GOOD, GOOD, (2, "with_replacment")),
        (GOOD, [GOOD], (2, "independent")),
    ],
)
def test_distributions_are_refused_in_the_same_words(device, target, draft, arguments):
    with pytest.raises((InvalidDistributionError, InvalidSettingError)) as expected:
        bounds.acceptance_curve(target, draft, *arguments)
    if arguments[1:] == ("independent",):
        tensors = [to(one, device) for one in draft]
    else:
        tensors = to(draft, device)
    with pytest.raises(type(expected.value)) as found:
        bounds.acceptance_curve(to(target, device), tensors, *arguments)
    assert str(found.value) == str(expected.value)


def test_a_bad_row_names_itself_or_stays_nan(device):
    logits = to([[0.0, 1.0], [np.nan, 0.0], [1.0, 1.0]], device)
    with pytest.raises(InvalidDistributionError, match=r"row 1: the logit of token 0 is nan"):
        bounds.distribution_from_logits(logits)
    curve = bounds.solve_curve_from_logits(logits, logits.flip(1), 2, strict=False)
    assert curve.acceptance.isnan().all(dim=1).tolist() == [False, True, False]


@pytest.mark.parametrize(("sampling", "max_drafts"), LAWS)
def test_bad_rows_are_named_and_do_not_stop_the_others(device, sampling, max_drafts):
    p, q = (np.random.default_rng(k).dirichlet(np.ones(30), 6) for k in (1, 2))
    p[1, 3], q[2, 4], q[4] = np.nan, -0.5, 2.0 * q[4]
    drafts = several(q, sampling, max_drafts)
    tensors = several(to(q, device), sampling, max_drafts)
    with pytest.raises(InvalidDistributionError, match=r"target row 1: .* token 3 is nan"):
        bounds.solve_curve(to(p, device), tensors, max_drafts, sampling)
    expected = bounds.solve_curve(p, drafts, max_drafts, sampling, strict=False)
    found = bounds.solve_curve(to(p, device), tensors, max_drafts, sampling, strict=False)
    assert found.unsolved == expected.unsolved == [1, 2, 4]
    assert found.subset_size[1].tolist() == [-1] * max_drafts
    np.testing.assert_allclose(found.acceptance.cpu(), expected.acceptance, rtol=0, atol=1e-13)
    everything = bounds.solve_curve(to(p[1], device), tensors, max_drafts, sampling, strict=False)
    assert everything.unsolved == [0, 1, 2, 3, 4, 5]


def test_a_row_that_takes_too_many_boxes(device, monkeypatch):
    from mdbound.bounds.device import independent as torch_independent

    p, q = (to(np.random.default_rng(k).dirichlet(np.ones(99), 4), device) for k in (1, 2))
    q[2] = torch.roll(p[2], 1)
    p[2] = torch.roll(q[2], 1)
    drafts = several(q, "independent", 3)
    monkeypatch.setattr(torch_independent, "MAX_BOXES", 2)
    with pytest.raises(UnsolvedError, match=r"row \d: no optimum within the stated error"):
        bounds.solve_curve(p, drafts, 3, "independent")
    curve = bounds.solve_curve(p, drafts, 3, "independent", strict=False)
    assert curve.unsolved
    assert curve.subset_size[curve.unsolved[0], -1] == -1


def test_what_is_made_on_the_host_takes_tensors(device):
    p, q = [0.5, 0.3, 0.2], [0.2, 0.5, 0.3]
    target, draft = (to(row, device).requires_grad_() for row in (p, q))
    expected, found = bounds.solve(p, q, 2), bounds.solve(target, draft, 2)
    assert found.acceptance == expected.acceptance
    assert found.subset.tolist() == expected.subset.tolist()
    assert bounds.solve(target, [draft, draft], 2, "independent").acceptance == pytest.approx(0.86)
    assert bounds.containment(draft, [0, 1], 2) == bounds.containment(q, [0, 1], 2)
    assert bounds.two_draft_acceptance(target, draft) == bounds.two_draft_acceptance(p, q)
    assert bounds.canonical_decomposition(target, draft, 2).acceptance == pytest.approx(0.86)


def test_tensors_on_two_devices_are_refused():
    with pytest.raises(InvalidDistributionError, match=r"cpu and meta: move them to one device"):
        bounds.optimal_acceptance(torch.ones(1), torch.ones(1, device="meta"), 1)


def test_bounds_do_not_import_torch():
    code = (
        "import sys, mdbound.bounds as b;"
        "b.optimal_acceptance([0.5, 0.5], [[1.0, 0.0]], 2, 'greedy');"
        "print([m for m in ('torch', 'mdbound.bounds.device.rows') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
