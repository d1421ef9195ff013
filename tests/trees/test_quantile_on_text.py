"""Quantile-score selection from text: as enumeration of all paths says, and as its own rows do."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound import paths, trees
from mdbound.errors import InvalidDistributionError, InvalidSettingError
from mdbound.paths.tiny.model import sequences
from mdbound.trees.seeded_models import seeded_pair
from mdbound.trees.verifiers.quantile.class_masses import ClassMasses, class_masses
from mdbound.trees.verifiers.quantile.items import RoundedRatios
from mdbound.trees.verifiers.quantile.on_text import quantile_text_tail
from mdbound.trees.verifiers.quantile.verifier import Quantile


def hard_rows(seed: int, rows: int, vocab: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows with zeros on either side, equal rows, ties, and ratios beyond the clips."""
    rng = np.random.default_rng(seed)
    p, q = (rng.gamma(0.3, size=(rows, vocab)) for _ in range(2))
    p[rng.random(p.shape) < 0.2] = 0.0
    q[rng.random(q.shape) < 0.2] = 0.0
    p[0] = q[0]
    p[1], q[1] = np.round(p[1], 1), np.round(q[1], 1)
    p[:, 0], q[:, 0] = p[:, 0] + 1e-3, q[:, 0] + 1e-3
    return p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("step", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_masses_are_those_of_the_classes(seed: int, step: float) -> None:
    p, q = hard_rows(seed, 6, 40)
    tokens = np.arange(6)
    found = class_masses(p, q, tokens, step)
    for row in range(6):
        classes, scores = RoundedRatios(step).of(p[row], q[row])
        expected = np.bincount(classes, weights=q[row], minlength=len(scores))
        assert found.masses[row] == pytest.approx(expected, abs=1e-15)
        assert found.token_class[row] == classes[tokens[row]]


@pytest.mark.parametrize(("length", "count"), [(1, 2), (3, 2), (4, 3), (8, 4), (2, 8)])
def test_tails_follow_the_rows_of_the_verifier(length: int, count: int) -> None:
    p, q = hard_rows(7, 12, 30)
    rng = np.random.default_rng(1)
    text = tuple(int(rng.choice(30, p=row)) for row in p)
    lp = np.log(p[np.arange(12), text])
    with np.errstate(divide="ignore"):
        lq = np.log(q[np.arange(12), text])
    found = quantile_text_tail(lp, lq, class_masses(p, q, text), length, count)
    rule = Quantile(step=0.05)
    for start in range(12):
        window = text[start : start + length]
        prefixes = [window[:d] for d in range(len(window))]
        target = {w: p[start + d] for d, w in enumerate(prefixes)}
        draft = {w: q[start + d] for d, w in enumerate(prefixes)}
        if len(window) < length:
            continue
        least = 1.0
        product = 1.0
        drafted = all(draft[w][t] > 0 for w, t in zip(prefixes, window, strict=True))
        expected = []
        rows = rule.selected_rows(target, draft, window, count) if drafted else []
        for d in range(length):
            product *= rows[d][window[d]] / target[prefixes[d]][window[d]] if drafted else 0.0
            least = min(least, product)
            expected.append(least)
        if drafted:
            assert found[start] == pytest.approx(expected, rel=1e-9, abs=1e-12)
        else:
            first = next(d for d in range(length) if draft[prefixes[d]][window[d]] == 0)
            assert (found[start, first:] == 0).all()


@pytest.mark.parametrize("size", [(3, 2, 2), (2, 3, 2), (3, 2, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_mean_over_texts_is_the_expected_length(size: tuple[int, int, int], seed: int) -> None:
    vocab, length, count = size
    target, draft = seeded_pair("language", vocab, length, 51, seed)
    expected = trees.expected_length(target, draft, trees.Paths(count, length), Quantile(step=0.05))
    total = 0.0
    for text, mass in sequences(target, length, "target"):
        p, q = (np.array([m[text[:d]] for d in range(length)]) for m in (target, draft))
        places = np.arange(length)
        # Two tokens is the shortest text; the last one's own tail plays no part.
        lp, lq = np.log(p[places, text]), np.log(q[places, text])
        tail = quantile_text_tail(lp, lq, class_masses(p, q, text), length, count)
        total += float(mass) * tail[0].sum()
    assert total == pytest.approx(expected, abs=1e-9)


def test_one_path_is_block_verification_and_more_accept_more() -> None:
    p, q = hard_rows(3, 10, 30)
    text = tuple(int(np.argmax(row)) for row in p)
    lp = np.log(p[np.arange(10), text])
    with np.errstate(divide="ignore"):
        lq = np.log(q[np.arange(10), text])
    classes = class_masses(p, q, text)
    one = quantile_text_tail(lp, lq, classes, 3, 1)
    assert one == pytest.approx(paths.text_tail(lp, lq, 3, "block"), abs=1e-12)
    assert quantile_text_tail(lp, lq, classes, 3, 4).sum() != pytest.approx(one.sum(), abs=1e-3)


def test_calls_are_those_of_enumeration() -> None:
    """The rule is stateless: calls of a text by recursion, and by all blocks that may start it."""
    target, draft = seeded_pair("language", 2, 3, 52, 0)
    rule = Quantile(step=0.05)

    def blocks(context: tuple[int, ...]) -> dict[tuple[int, ...], float]:
        p, q = (
            {w[len(context) :]: row for w, row in m.items() if w[: len(context)] == context}
            for m in (target, draft)
        )
        found: dict[tuple[int, ...], float] = {}
        depth = min(2, 3 - len(context))
        short = trees.Paths(2, depth)
        for (node, token), mass in trees.block_law(p, q, short, rule).items():
            block = (*node, token)
            found[block] = found.get(block, 0.0) + float(mass)
        return found

    for text in [(0, 0, 1), (1, 0, 0), (1, 1, 1)]:

        def calls(context: tuple[int, ...], text: tuple[int, ...] = text) -> tuple[float, float]:
            """Probability of writing the rest of the text, and expected calls on that event."""
            if len(context) == 3:
                return 1.0, 0.0
            reach = total = 0.0
            for block, mass in blocks(context).items():
                inside = block[: 3 - len(context)]
                if text[len(context) : len(context) + len(inside)] == inside:
                    p, c = calls((*context, *inside), text)
                    reach += mass * p
                    total += mass * (c + p)
            return reach, total

        reach, total = calls(())
        p, q = (np.array([m[text[:d]] for d in range(3)]) for m in (target, draft))
        lp, lq = np.log(p[range(3), text]), np.log(q[range(3), text])
        # A call near the end drafts no more than leaves one token for itself.
        tails = np.zeros((3, 2))
        classes = class_masses(p, q, text)
        for length in (1, 2):
            tail = quantile_text_tail(lp, lq, classes, length, 2)
            for start in range(3):
                if min(2, max(1, 3 - start)) == length:
                    tails[start, :length] = tail[start]
        assert paths.call_starts(tails).sum() == pytest.approx(total / reach, abs=1e-9)


def test_classes_of_another_text_are_refused() -> None:
    lp = np.log([0.5, 0.5])
    with pytest.raises(InvalidDistributionError, match="2 tokens at step"):
        quantile_text_tail(lp, lp, ClassMasses(np.ones((3, 221)), np.zeros(3, int)), 2, 2)
    classes = class_masses([[0.5, 0.5]] * 2, [[0.5, 0.5]] * 2, [0, 0])
    with pytest.raises(InvalidSettingError, match="paths of 1 tokens"):
        quantile_text_tail(lp, lp, classes, 2, 2, bins=[[1.0]])
    with pytest.raises(InvalidSettingError, match="step"):
        class_masses([[0.5, 0.5]], [[0.5, 0.5]], [0], step=0.0)
    with pytest.raises(InvalidSettingError, match="one id"):
        class_masses([[0.5, 0.5]], [[0.5, 0.5]], [2])
