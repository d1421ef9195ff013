"""Distributions and logits that are awkward in one way each, for tests of every package."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Row = np.ndarray


def adversarial_pairs(count: int, seed: int, max_vocab: int = 6) -> Iterator[tuple[Row, Row]]:
    """Small targets and drafts full of ties, zeros, sparse and near-degenerate rows."""
    rng = np.random.default_rng(seed)
    for case in range(count):
        vocab_size = int(rng.integers(1, max_vocab + 1))
        yield adversarial_row(rng, case, vocab_size), adversarial_row(rng, case // 9, vocab_size)


def adversarial_row(rng: np.random.Generator, kind: int, vocab_size: int) -> Row:
    """One distribution of a named kind of trouble."""
    kinds = (
        lambda: rng.dirichlet(np.ones(vocab_size)),
        lambda: rng.dirichlet(np.full(vocab_size, 0.1)) + 1e-300,
        lambda: rng.integers(0, 3, vocab_size).astype(float),  # ties and zeros
        lambda: np.ones(vocab_size),
        lambda: 10.0 ** rng.uniform(-9, 0, vocab_size),
        lambda: 10.0 ** rng.uniform(-300, 0, vocab_size),
        lambda: np.eye(vocab_size)[rng.integers(vocab_size)],  # one-hot
        lambda: 1.0 + 1e-15 * rng.integers(0, 5, vocab_size),  # near-ties
        lambda: rng.dirichlet(np.ones(vocab_size)) * (rng.random(vocab_size) < 0.5),  # sparse
    )
    row = np.asarray(kinds[kind % len(kinds)]())
    if row.sum() == 0.0:
        row[rng.integers(vocab_size)] = 1.0
    return row / row.sum()


def random_distribution(
    rng: np.random.Generator, size: int, decades: float = 12, light: float = 1e-9
) -> Row:
    """Dense, tied, sparse, spanning decades, or nearly a point mass beside light tokens."""
    values = [
        rng.random(size) ** 3,
        rng.integers(1, 4, size).astype(float),
        rng.random(size) * (rng.random(size) < 0.6),
        10.0 ** rng.uniform(-decades, 0, size),
        np.r_[1.0, rng.random(size - 1) * light],
    ][rng.integers(5)]
    values[rng.integers(size)] += 1e-3
    return values / values.sum()


def random_case(seed: int, decades: float = 12, light: float = 1e-9) -> tuple[Row, list[Row], int]:
    """Target, n drafts and n: up to six tokens and four drafts, the first p itself now and then."""
    rng = np.random.default_rng(seed)
    size, n = int(rng.integers(1, 7)), int(rng.integers(1, 5))
    p = random_distribution(rng, size, decades, light)
    drafts = [random_distribution(rng, size, decades, light) for _ in range(n)]
    if seed % 5 == 0:
        drafts[0] = p
    return p, drafts, n


def awkward_logits(rng: np.random.Generator, case: int, size: int) -> Row:
    """Float32 logits from flat to one-hot by the kind of case, some rounded, some masked."""
    scale = (0.0, 1e-6, 1.0, 5.0, 100.0, 600.0)[case % 6]
    logits = (scale * rng.normal(size=size)).astype(np.float32)
    if case % 4 == 1:
        logits = np.round(logits)
    if case % 5 == 2:
        logits[rng.random(size) < 0.4] = -np.inf
        logits[rng.integers(size)] = 0.0
    return logits
