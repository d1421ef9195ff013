"""Small problems: numpy and the kernels agree within what each states, and nothing is compiled."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from mdbound import bounds
from mdbound.bounds.problem import small_problems
from tests.hard_rows import adversarial_row, random_distribution

LAWS = ("with_replacement", "without_replacement", "greedy")

COMPILED = """
import gc
import numpy as np
from mdbound import bounds
from mdbound.bounds.numerics.compiled import kernels

def compiled():
    made = [each for each in gc.get_objects() if isinstance(each, kernels.registry.CPUDispatcher)]
    return sum(len(each.signatures) for each in made)

p, q = [0.5, 0.3, 0.2], [0.2, 0.5, 0.3]
logits = np.zeros(4096, dtype=np.float32)
for law in ("with_replacement", "without_replacement", "greedy"):
    bounds.optimal_acceptance(p, q, 2, law)
    bounds.acceptance_curve_from_logits(logits, logits, 8, law, top_p=0.9)
    bounds.acceptance_curve_from_logits(logits, logits, 8, law)
bounds.distribution_from_logits(logits)
bounds.solve(p, q, 2).certificate.check(p, q)
print(compiled())
bounds.distribution_from_logits(np.zeros(4097, dtype=np.float32))
print(compiled())
"""


def pairs(count, seed, sizes):
    rng = np.random.default_rng(seed)
    for case in range(count):
        size = int(rng.choice(sizes))
        q = adversarial_row(rng, case, size) if case % 2 else random_distribution(rng, size)
        p = q if case % 7 == 0 else adversarial_row(rng, case // 9, size)
        yield p, np.where(q < 1e-303, 0.0, q)


@pytest.mark.parametrize("sampling", LAWS)
def test_both_roads_agree_within_what_they_state(sampling, monkeypatch):
    for p, q in pairs(400, 5, (1, 2, 3, 9, 60, 300)):
        found = {}
        for entries in (-1, 10**6):
            monkeypatch.setattr(small_problems, "SMALL_ENTRIES", entries)
            found[entries] = bounds.solve_curve(p, q, 8, sampling)
        kernels, numpy = found.values()
        difference = np.abs(kernels.acceptance - numpy.acceptance)
        assert (difference <= kernels.error_bound + numpy.error_bound).all(), (p, q)
        assert (numpy.error_bound <= 1.001 * kernels.error_bound + 1e-15).all(), (p, q)


@pytest.mark.parametrize("sampling", LAWS)
def test_a_difference_of_one_in_the_eleventh_digit_is_noticed(sampling, monkeypatch):
    """The negative control: the same comparison, with one token of the set that much lighter."""
    looked_at = 0
    for p, q in pairs(60, 6, (60, 300)):
        monkeypatch.setattr(small_problems, "SMALL_ENTRIES", 10**6)
        inside = bounds.solve(p, q, 2, sampling).subset
        if len(inside) == 0 or p[inside].max() < 1e-9:
            continue
        moved = p.copy()
        moved[inside[p[inside].argmax()]] -= 1e-11
        numpy = bounds.solve_curve(moved, q, 2, sampling)
        monkeypatch.setattr(small_problems, "SMALL_ENTRIES", -1)
        kernels = bounds.solve_curve(p, q, 2, sampling)
        difference = np.abs(kernels.acceptance - numpy.acceptance)[0, 1]
        assert difference > kernels.error_bound[0, 1] + numpy.error_bound[0, 1], (p, q)
        looked_at += 1
    assert looked_at > 5


def test_size_alone_decides(monkeypatch):
    """Not what is compiled: the same call gives the same bits after larger ones."""
    monkeypatch.undo()
    rng = np.random.default_rng(7)
    p, q = rng.dirichlet(np.ones(4096), 2)
    first = {law: bounds.acceptance_curve(p, q, 8, law) for law in LAWS}
    larger = rng.dirichlet(np.ones(5000), 2)
    for law in LAWS:
        bounds.acceptance_curve(*larger, 8, law)
        assert (bounds.acceptance_curve(p, q, 8, law) == first[law]).all()


def test_nothing_is_compiled_for_a_small_problem(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", COMPILED],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    small, large = run.stdout.split()
    assert int(small) == 0
    assert int(large) > 0  # the count counts


@pytest.mark.parametrize("sampling", bounds.SAMPLING_LAWS)
def test_arrays_of_another_kind_are_copied_and_compile_nothing(sampling, monkeypatch):
    monkeypatch.setattr(small_problems, "SMALL_ENTRIES", -1)
    rng = np.random.default_rng(8)
    p, q = rng.dirichlet(np.ones(30), (2, 4))
    target, draft = rng.normal(0.0, 2.0, (2, 4, 30)).astype(np.float32)

    def curves(kind):
        drafts = [kind(q)] * 2 if sampling == "independent" else kind(q)
        of_logits = [kind(draft)] * 2 if sampling == "independent" else kind(draft)
        yield bounds.acceptance_curve(kind(p), drafts, 2, sampling)
        yield bounds.acceptance_curve_from_logits(kind(target), of_logits, 2, sampling)
        yield bounds.distribution_from_logits(kind(target))
        yield bounds.entropy_from_logits(kind(target))

    plain, signatures = list(curves(np.copy)), count_signatures()
    for kind in (read_only, np.asfortranarray, strided, big_endian):
        for expected, found in zip(plain, curves(kind), strict=True):
            assert (expected == found).all()
    assert count_signatures() == signatures


def read_only(rows):
    copied = rows.copy()
    copied.flags.writeable = False
    return copied


def strided(rows):
    return np.repeat(rows, 2, axis=1)[:, ::2]


def big_endian(rows):
    return rows.astype(rows.dtype.newbyteorder(">"))


def count_signatures():
    import gc

    from numba.core.registry import CPUDispatcher

    # By the type: other libraries' objects do things when they are asked for their class.
    kernels = [each for each in gc.get_objects() if issubclass(type(each), CPUDispatcher)]
    return sum(len(each.signatures) for each in kernels)
