"""Oracle of several drafted paths: every tuple of paths, in fractions, and a rule on one of them.

Shares no formula with the package: the law of the selected path is summed over all tuples.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

from tests.oracles.path_verification import (
    ONE,
    ZERO,
    Model,
    Prefix,
    mass_of,
    paths_of,
    run_block,
)


def ranks(target: Model, draft: Model, prefix: Prefix) -> dict[int, int]:
    """Place of each token that can be drafted, the larger the better."""
    p, q = target[prefix], draft[prefix]
    drafted = [y for y in range(len(q)) if q[y]]
    ordered = sorted(drafted, key=lambda y: (p[y] / q[y], -y))
    return {y: place for place, y in enumerate(ordered)}


def selected_law(
    target: Model, draft: Model, context: Prefix, length: int, num_paths: int
) -> dict[Prefix, Fraction]:
    """Law of the lexicographically largest of K independent paths."""

    def key(path: Prefix) -> tuple[int, ...]:
        return tuple(
            ranks(target, draft, context + path[:l])[token] for l, token in enumerate(path)
        )

    found: dict[Prefix, Fraction] = {}
    paths = [(key(path), path, mass) for path, mass in paths_of(draft, context, length)]
    for several in itertools.product(paths, repeat=num_paths):
        mass = ONE
        for _, _, one in several:
            mass *= one
        winner = max(several)[1]
        found[winner] = found.get(winner, ZERO) + mass
    return found


def selected_model(
    target: Model, draft: Model, context: Prefix, length: int, num_paths: int
) -> Model:
    """The selected path's law as rows by prefix, after the context; rows never reached are q."""
    law = selected_law(target, draft, context, length, num_paths)
    vocab_size = len(target[()])
    rows: Model = {}
    for level in range(length):
        for prefix in itertools.product(range(vocab_size), repeat=level):
            masses = [
                sum((m for path, m in law.items() if path[: level + 1] == (*prefix, y)), ZERO)
                for y in range(vocab_size)
            ]
            total = sum(masses, ZERO)
            reached = tuple(one / total for one in masses) if total else draft[context + prefix]
            rows[context + prefix] = reached
    return rows


def blocks(
    target: Model,
    draft: Model,
    context: Prefix,
    length: int,
    num_paths: int,
    *,
    as_if_one: bool = False,
) -> dict[Prefix, Fraction]:
    """What one call emits. `as_if_one` is wrong: it tests the selected path against q itself."""
    law = selected_law(target, draft, context, length, num_paths)
    model = draft if as_if_one else selected_model(target, draft, context, length, num_paths)
    found: dict[Prefix, Fraction] = {}
    for path, mass in law.items():
        for (accepted, y), probability in run_block(target, model, context, path).items():
            block = (*path[:accepted], y)
            found[block] = found.get(block, ZERO) + mass * probability
    return found


def output_error(target: Model, emitted: dict[Prefix, Fraction], length: int) -> Fraction:
    """Total variation over L + 1 tokens between the text after one call and the target."""
    error = ZERO
    for text in itertools.product(range(len(target[()])), repeat=length + 1):
        law = sum(
            (
                emitted.get(text[:cut], ZERO) * mass_of(target, text[:cut], text[cut:])
                for cut in range(1, length + 2)
            ),
            start=ZERO,
        )
        error += abs(law - mass_of(target, (), text))
    return error / 2


def calls_given_text(
    target: Model, draft: Model, length: int, num_paths: int, text: Prefix
) -> Fraction:
    """E[calls | text]: every way in which calls can write the text, weighed by its probability."""
    later = dict.fromkeys(range(len(text), len(text) + length + 2), (ONE, ZERO))
    for start in range(len(text) - 1, -1, -1):
        mass, calls = ZERO, ZERO
        rest = text[start:]
        for block, one in blocks(target, draft, text[:start], length, num_paths).items():
            if block[: len(rest)] == rest[: len(block)]:
                after_mass, after_calls = later[start + len(block)]
                mass += one * after_mass
                calls += one * (after_mass + after_calls)
        later[start] = mass, calls
    mass, calls = later[0]
    assert mass == mass_of(target, (), text), "the rule is not lossless on this text"
    return calls / mass
