"""What no rule can beat, as linear programs over all of them: accepted length, and calls.

A rule is e(l, y | X), the probability that l tokens of the drafted path X are accepted and y
follows. It may look at all of X. The programs have V^L paths, so that only tiny problems fit; they
know no rule and no theorem, which is what they are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from mdbound.bounds.programs.gathered_program import GatheredProgram
from mdbound.errors import InvalidSettingError, refuse_unknown
from mdbound.paths.checks import check_draft_length
from mdbound.paths.tiny.model import Model, Prefix, row_of, strings

Outcome: TypeAlias = tuple[Prefix, int, int]
"""Drafted path, accepted length, next token."""


def most_accepted(target: Model, draft: Model, draft_length: int) -> float:
    """The largest E[tau] of one call over all rules that leave a fresh target behind.

    A residual token that equals the drafted one counts as accepted.

    Args:
        target: rows of p for every prefix up to L tokens.
        draft: rows of q for every prefix shorter than L.
        draft_length: L; the program has about (L + 1) V^(L+1) columns.

    Returns:
        What block verification reaches, by theorem T3 of `docs/tokens-per-call.md`; HiGHS solves
        to about 1e-10.

    Raises:
        InvalidDistributionError: a row that is no distribution.
        InvalidSettingError: a missing row, or a draft length below 1.
        UnsolvedError: HiGHS ended without an optimum.

    Example:
        >>> p = dict.fromkeys([(), (0,), (1,)], (0.25, 0.75))
        >>> round(most_accepted(p, {(): (0.75, 0.25)}, 1), 9)
        0.5
    """

    def agreed(path: Prefix, accepted: int, token: int) -> float:
        again = accepted < len(path) and token == path[accepted]
        return -float(accepted + again)

    length = check_draft_length(draft_length)
    return -_one_call(target, draft, (), length, agreed)


def fewest_calls(
    target: Model, draft: Model, draft_length: int, tokens: int, state: str = "fresh"
) -> float:
    """The smallest E[calls] for N tokens over all rules, without or with memory.

    Args:
        target: rows of p for every prefix shorter than N.
        draft: rows of q for every prefix shorter than N - 1.
        draft_length: L.
        tokens: N.
        state: `"fresh"`: every call leaves a fresh target behind; then block verification has the
            fewest (theorem T5), and one program is solved for each prefix. `"carried"`: any memory,
            as long as the N tokens have the law of the target; one program for all, whose optimum
            is below block verification's as a rule.

    Raises:
        InvalidDistributionError: a row that is no distribution.
        InvalidSettingError: a missing row, an unknown state, or L or N below 1.
        UnsolvedError: HiGHS ended without an optimum.

    Example:
        >>> strings_ = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (1, 1)]
        >>> p, q = (dict.fromkeys(strings_, row) for row in ((1 / 3, 2 / 3), (2 / 3, 1 / 3)))
        >>> [round(9 * fewest_calls(p, q, 1, 3, state), 6) for state in ("fresh", "carried")]
        [19.0, 18.0]
    """
    length = check_draft_length(draft_length)
    if isinstance(tokens, bool) or not isinstance(tokens, int | np.integer) or tokens < 1:
        raise InvalidSettingError(f"`tokens` is {tokens!r}: give a whole number, 1 or more")
    refuse_unknown([state], STATES, "`state`")
    return STATES[state](target, draft, length, int(tokens))


def _one_call(
    target: Model,
    draft: Model,
    context: Prefix,
    length: int,
    cost: Callable[[Prefix, int, int], float],
) -> float:
    """The least expected cost of a call that leaves a fresh target behind."""
    vocab_size = len(row_of(target, (), "target"))
    program = GatheredProgram()
    emitted: dict[Prefix, list[tuple[int, float]]] = {}
    for path, mass in _paths(draft, context, length):
        own = []
        for accepted, token in _outcomes(length, vocab_size):
            column = program.column(mass * cost(path, accepted, token))
            own.append((column, 1.0))
            emitted.setdefault((*path[:accepted], token), []).append((column, mass))
        program.equality(1.0, own)
    # The last row follows from the others: probabilities sum to 1.
    for text in list(strings(vocab_size, length + 1))[:-1]:
        terms = [
            (column, mass * _mass(target, context + text[:cut], text[cut:]))
            for cut in range(1, length + 2)
            for column, mass in emitted.get(text[:cut], [])
        ]
        program.equality(_mass(target, context, text), [term for term in terms if term[1] > 0.0])
    return program.least(program.solve())


def _fresh(target: Model, draft: Model, length: int, tokens: int) -> float:
    """Backwards over prefixes: each call's cost is that of what it leaves to be written."""
    vocab_size = len(row_of(target, (), "target"))
    least: dict[Prefix, float] = {}
    for start in range(tokens - 1, -1, -1):
        for context in strings(vocab_size, start):

            def later(path: Prefix, accepted: int, token: int, context: Prefix = context) -> float:
                return least.get((*context, *path[:accepted], token), 0.0)

            # A call cannot use more drafted tokens than leave one for itself.
            drafted = min(length, tokens - start - 1)
            least[context] = 1.0 + _one_call(target, draft, context, drafted, later)
    return least[()]


def _carried(target: Model, draft: Model, length: int, tokens: int) -> float:
    """One program: columns are masses e(v, X, l, y) and m(v), that a call starts after v."""
    vocab_size = len(row_of(target, (), "target"))
    program = GatheredProgram()
    contexts = [v for start in range(tokens) for v in strings(vocab_size, start)]
    starts = {v: program.column(1.0) for v in contexts}
    arrivals: dict[Prefix, list[tuple[int, float]]] = {}
    for context in contexts:
        drafted = min(length, tokens - len(context) - 1)
        for path, mass in _paths(draft, context, drafted):
            own = [(starts[context], -mass)]
            for accepted, token in _outcomes(drafted, vocab_size):
                column = program.column(0.0)
                own.append((column, 1.0))
                arrivals.setdefault((*context, *path[:accepted], token), []).append((column, 1.0))
            program.equality(0.0, own)
    program.equality(1.0, [(starts[()], 1.0)])
    for context in contexts[1:]:
        program.equality(0.0, [(starts[context], -1.0), *arrivals.get(context, [])])
    for text in list(strings(vocab_size, tokens))[:-1]:
        program.equality(_mass(target, (), text), arrivals.get(text, []))
    return program.least(program.solve())


STATES: dict[str, Callable[[Model, Model, int, int], float]] = {
    "fresh": _fresh,
    "carried": _carried,
}
"""What a rule may hand to the next call."""


def _outcomes(length: int, vocab_size: int) -> Iterator[tuple[int, int]]:
    return ((accepted, y) for accepted in range(length + 1) for y in range(vocab_size))


def _mass(model: Model, context: Prefix, text: Prefix) -> float:
    mass = 1.0
    for place, token in enumerate(text):
        mass *= float(row_of(model, context + text[:place], "target")[token])
        if mass == 0.0:
            break
    return mass


def _paths(draft: Model, context: Prefix, length: int) -> Iterator[tuple[Prefix, float]]:
    """Every drafted path after a context, with its probability."""
    found: list[tuple[Prefix, float]] = [((), 1.0)]
    for _ in range(length):
        found = [
            ((*path, token), mass * float(share))
            for path, mass in found
            for token, share in enumerate(row_of(draft, context + path, "draft"))
            if share > 0
        ]
    return iter(found)
