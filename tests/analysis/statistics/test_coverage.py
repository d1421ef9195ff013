"""How often intervals hold the value that documents were drawn around."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound.analysis.statistics.bootstrap import Bootstrap, ratio_intervals

SAMPLES = 3000
HOW = Bootstrap(resamples=499)


def documents(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sums and positions of documents, skewed: lengths of 20 to 127, rates around 2/3."""
    positions = rng.integers(20, 128, size=(SAMPLES, count)).astype(np.float64)
    return positions * rng.beta(4.0, 2.0, size=positions.shape), positions


@pytest.mark.parametrize(("count", "least"), [(4, 0.91), (8, 0.935), (20, 0.935), (60, 0.935)])
def test_intervals_of_95_percent_cover_95_percent(count: int, least: float) -> None:
    """Of four documents, where Student's t knows no skew, 92 percent."""
    sums, positions = documents(count, np.random.default_rng(count))
    covered = 0
    for start in range(0, SAMPLES, 300):
        part = slice(start, start + 300)
        has = np.ones_like(sums[part], dtype=bool)
        how = Bootstrap(resamples=HOW.resamples, seed=start)
        mean, low, high = ratio_intervals(sums[part], positions[part], has, how)
        assert ((low <= mean) & (mean <= high)).all()
        covered += int(((low <= 2 / 3) & (high >= 2 / 3)).sum())
    assert least < covered / SAMPLES < 0.97, covered / SAMPLES


def test_percentiles_cover_less() -> None:
    """Control: what was used before, at eight documents."""
    rng = np.random.default_rng(0)
    sums, positions = documents(8, rng)
    covered = 0
    for above, below in zip(sums[:1000], positions[:1000], strict=True):
        times = rng.multinomial(8, np.full(8, 1 / 8), size=499)
        low, high = np.quantile((times @ above) / (times @ below), [0.025, 0.975])
        covered += low <= 2 / 3 <= high
    assert covered / 1000 < 0.92


def test_a_few_documents_that_differ_do_not_fill_the_scale() -> None:
    """Eighteen of twenty agree: resamples without the two others have next to no error."""
    values = np.ones((1, 20))
    values[0, :18] -= 1e-6 * np.arange(18)
    values[0, 18:] = 0.9, 0.93
    ones = np.ones_like(values)
    mean, low, high = ratio_intervals(values, ones, ones > 0.0, Bootstrap())
    assert mean[0] - low[0] < 0.08
    assert low[0] < mean[0] < high[0] <= 1.0
