"""The port on the page of quantile-score selection, run as it stands, against the package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mdbound import trees
from mdbound.trees.verifiers.quantile.points import draw_points
from mdbound.trees.verifiers.quantile.verifier import Quantile
from tests.docs.pages import DOCS

PAGE = (DOCS / "quantile-selection.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def port() -> dict[str, Any]:
    code = PAGE.split("<!-- port -->\n```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    names: dict[str, Any] = {}
    exec(code, names)  # the page is ours
    return names


def rows(seed: int, paths: np.ndarray, vocab: int) -> tuple[dict[Any, Any], dict[Any, Any]]:
    rng = np.random.default_rng(seed)
    target: dict[Any, Any] = {}
    draft: dict[Any, Any] = {}
    for path in paths.tolist():
        for depth in range(len(path)):
            node = tuple(path[:depth])
            if node not in target:
                logits = rng.normal(0.0, 2.0, vocab)
                noisy = logits + rng.normal(size=vocab)
                target[node], draft[node] = (np.exp(x) / np.exp(x).sum() for x in (logits, noisy))
                target[node][rng.random(vocab) < 0.1] = 0.0
                target[node] /= target[node].sum()
    return target, draft


@pytest.mark.parametrize("seed", range(6))
def test_the_port_selects_the_same_path_with_the_same_law(port: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, length = int(rng.integers(2, 6)), int(rng.integers(1, 6))
    paths = rng.integers(0, 60, size=(count, length))
    paths[1] = paths[0]  # equal paths have points of their own
    target, draft = rows(seed, paths, 60)
    bins = [np.array(each) for each in trees.gaussian_bins(length, 0.6)]
    of_paths = [
        [[model[tuple(path[:d])] for d in range(length)] for path in paths.tolist()]
        for model in (target, draft)
    ]
    chosen, found = port["select"](paths.tolist(), *of_paths, bins, np.random.default_rng(seed))
    rule = Quantile(bins=[each.tolist() for each in bins], step=0.05)
    winner = tuple(paths[chosen].tolist())
    expected = rule.selected_rows(target, draft, winner, count)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-9)
    # The same uniforms, in the same order, make the same points.
    same = np.random.default_rng(seed)
    known = rule._items(target, draft, [tuple(path) for path in paths.tolist()])
    points = [
        draw_points([known[tuple(path[:d])] for d in range(length)], path, same)[0]
        for path in paths.tolist()
    ]
    assert int(np.argmax(points)) == chosen


def test_another_law_is_noticed(port: dict[str, Any]) -> None:
    """The control: verified against q the first row would be another one."""
    paths = np.array([[1, 2], [3, 4]])
    target, draft = rows(0, paths, 60)
    of_paths = [
        [[model[tuple(path[:d])] for d in range(2)] for path in paths.tolist()]
        for model in (target, draft)
    ]
    bins = [np.array(each) for each in trees.gaussian_bins(2, 0.5)]
    _, found = port["select"](paths.tolist(), *of_paths, bins, np.random.default_rng(0))
    assert np.abs(found[0] - draft[()]).max() > 1e-3
