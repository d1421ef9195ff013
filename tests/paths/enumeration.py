"""Everything that one random model is checked for; run as a module for many of them.

python -m tests.paths.enumeration 1000
"""

from __future__ import annotations

import sys

import numpy as np

from mdbound import paths
from tests.oracles import path_verification as oracle

STATELESS = ("match", "single_draft", "block", "asps")


def sizes(seed: int) -> tuple[int, int]:
    """Vocabulary and draft length, three tokens and several more often than not."""
    return ((3, 2), (2, 3), (3, 2), (3, 1), (2, 2), (3, 3))[seed % 6]


def check_model(seed: int) -> None:
    """Losslessness, kernels path by path, order of the laws, both sides, calls of texts."""
    vocab_size, length = sizes(seed)
    tokens = 3
    target, draft = oracle.random_models(seed, vocab_size, tokens + length)
    for scheme, rule in oracle.RULES.items():
        assert oracle.output_error(rule, target, draft, length) == 0, scheme
    for path, _ in oracle.paths_of(draft, (), length):
        for scheme, rule in oracle.RULES.items():
            assert paths.kernel(target, draft, path, scheme) == rule(target, draft, (), path)
        one = paths.kernel(target, draft, path, "block")
        assert one == paths.kernel(target, draft, path, "asps")
    tails = check_tails(target, draft, length)
    for less, more in zip(STATELESS, (*STATELESS[1:], "joint"), strict=True):
        assert all(a <= b for a, b in zip(tails[less], tails[more], strict=True)), (less, more)
    if length <= 2:
        check_calls(target, draft, length, tokens)


def check_tails(
    target: oracle.Model, draft: oracle.Model, length: int
) -> dict[str, list[oracle.Fraction]]:
    """Tails by enumeration, by the package's laws, and by both closed forms."""
    tails = {"joint": oracle.coupled_tail(target, draft, length)}
    for scheme in STATELESS:
        law = oracle.length_law(oracle.RULES[scheme], target, draft, length)
        assert paths.length_law(target, draft, length, scheme) == law
        tails[scheme] = [sum(law[l:], oracle.ZERO) for l in range(1, length + 1)]
    for side, model in (("target", target), ("draft", draft)):
        texts = list(oracle.paths_of(model, (), length))
        with np.errstate(divide="ignore"):
            lp, lq = (
                np.log([[float(m[t[:i]][t[i]]) for i in range(length)] for t, _ in texts])
                for m in (target, draft)
            )
        weights = np.array([float(mass) for _, mass in texts])
        for scheme, tail in tails.items():
            mean = weights @ paths.accepted_tail(lp, lq, scheme, side)
            np.testing.assert_allclose(mean, [float(one) for one in tail], atol=1e-12)
    return tails


def check_calls(target: oracle.Model, draft: oracle.Model, length: int, tokens: int) -> None:
    for text, _ in oracle.paths_of(target, (), tokens):
        with np.errstate(divide="ignore"):
            lp, lq = (
                np.log([float(m[text[:i]][text[i]]) for i in range(tokens)])
                for m in (target, draft)
            )
        for scheme in ("match", "single_draft", "block"):
            truth = oracle.calls_given_text(oracle.RULES[scheme], target, draft, length, text)
            found = paths.expected_calls(lp, lq, length, scheme)
            assert abs(found - float(truth)) < 1e-12, (scheme, text)


if __name__ == "__main__":
    count = int(sys.argv[1])
    for number in range(count):
        check_model(number)
    sys.stdout.write(f"{count} models enumerated, none fails\n")
