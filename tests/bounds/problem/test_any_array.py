"""Tensors of any type, on any device, with gradients or without, are read where arrays are."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import bounds, schemes
from mdbound.bounds.problem.any_array import holds_tensor, host_array
from mdbound.errors import InvalidDistributionError
from tests.bounds.device.cases import DEVICES

torch = pytest.importorskip("torch")

TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool]
P, Q = [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_comes_to_the_host_exactly(device, dtype):
    tensor = torch.tensor([[0.0, 1.0], [1.0, 0.0]], device=device).to(dtype)
    found = host_array(tensor)
    assert isinstance(found, np.ndarray)
    assert found.tolist() == tensor.tolist()
    assert found.dtype == (np.float32 if dtype.itemsize == 2 else np.dtype(found.dtype))


def test_gradients_stay_behind(device):
    tensor = torch.tensor(P, device=device, requires_grad=True)
    for one in (tensor, torch.nn.Parameter(tensor.detach())):
        assert holds_tensor(one)
        assert host_array(one).tolist() == P
        assert host_array((one, Q))[0].tolist() == P


def test_what_is_no_tensor_comes_back_as_it_is():
    for values in (P, tuple(P), np.array(P), [np.array(P)], 0.5, [P, Q]):
        assert not holds_tensor(values)
        assert host_array(values) is values


def test_numpy_alone_could_not():
    with pytest.raises(TypeError):
        np.asarray(torch.tensor(P, dtype=torch.bfloat16))
    with pytest.raises(RuntimeError):
        np.asarray(torch.tensor(P, requires_grad=True))


def check_certificate(p, q):
    certificate = bounds.make_certificate(p, q, 2, "with_replacement", [2])
    return certificate.check(p, q).upper


VALUES = {
    "two_draft_acceptance": bounds.two_draft_acceptance,
    "equals_one_margin": bounds.equals_one_margin,
    "equals_one_condition": lambda *pair: bounds.equals_one_condition(*pair).margin,
    "canonical_decomposition": lambda *pair: bounds.canonical_decomposition(*pair, 2).acceptance,
    "make_certificate": check_certificate,
    "containment": lambda *pair: bounds.containment(pair[1], [2], 2),
    "solve": lambda *pair: bounds.solve(*pair, 2).acceptance,
    "optimal_acceptance_lp": lambda *pair: bounds.optimal_acceptance_lp(*pair, 2),
    "truncated_selection": lambda *pair: bounds.truncated_selection(*pair, 2, 3).acceptance,
    "truncated_alphabet": lambda *pair: bounds.truncated_alphabet(pair[1], 2).tolist(),
    "k_seq": lambda *pair: schemes.get("k_seq").acceptance(*pair, 2).membership,
    "optimal": lambda *pair: schemes.get("optimal").acceptance(*pair, 2).membership,
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_functions_that_are_no_doors_take_tensors(device, name, dtype):
    tensors = [torch.tensor(row, dtype=dtype, device=device).requires_grad_() for row in (P, Q)]
    assert VALUES[name](*tensors) == VALUES[name](P, Q)


def test_a_tensor_that_is_no_distribution_is_refused_in_words(device):
    p = torch.tensor([0.5, 0.5], dtype=torch.bfloat16, device=device)
    with pytest.raises(InvalidDistributionError, match=r"target row 0 sums to 1\.5"):
        bounds.equals_one_margin([0.5, 0.5, 0.5], p)
    with pytest.raises(InvalidDistributionError, match=r"shape \(3,\) and draft \(2,\)"):
        bounds.equals_one_margin(P, p)
