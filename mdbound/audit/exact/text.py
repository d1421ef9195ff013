"""Several steps: does what is put out, and goes on under the target, have the target's law?

A call puts out the accepted tokens and one more; the rest of a text of L + 1 tokens comes from the
target. A rule is lossless iff that text has the target's law, which this follows token by token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from mdbound.audit.exact.finding import Finding
from mdbound.audit.problems.models import Rows
from mdbound.paths.tiny.model import Prefix

Blocks: TypeAlias = dict[tuple[Prefix, int], Fraction]
"""Probability of each (accepted node, token that follows it), over all drafts."""


@dataclass(frozen=True)
class _Off:
    text: Prefix
    expected: Fraction
    found: Fraction

    @property
    def gap(self) -> Fraction:
        return abs(self.expected - self.found)


def examine_text(
    target: Rows, blocks: Blocks, length: int, accepted: Fraction, tolerance: Fraction
) -> Finding:
    """Compare the law of the text of L + 1 tokens with the target's.

    Args:
        target: rows of p for every prefix of up to L tokens.
        blocks: what calls put out.
        length: L.
        accepted: drafted tokens among the output, for the finding.
        tolerance: largest gap of one text that is rounding; the shortest text above it is shown.

    Example:
        >>> row = (Fraction(1, 2), Fraction(1, 2))
        >>> rows = dict.fromkeys([(), (0,), (1,)], row)
        >>> finding = examine_text(rows, {((), 0): Fraction(1)}, 1, Fraction(0), Fraction(0))
        >>> str(finding.total_variation), finding.output, str(finding.found)
        ('1/2', 'a text that begins with 0', '1')
    """
    through = _passing(blocks)
    level: dict[Prefix, tuple[Fraction, Fraction]] = {(): (Fraction(1), Fraction(0))}
    shown: _Off | None = None
    gaps: list[Fraction] = []
    for _ in range(length + 1):
        below: dict[Prefix, tuple[Fraction, Fraction]] = {}
        gaps = []
        for prefix, (wanted, ended) in level.items():
            for token, mass in enumerate(target[prefix]):
                text = (*prefix, token)
                done = ended * mass + blocks.get((prefix, token), Fraction(0))
                off = _Off(text, wanted * mass, done + through.get(text, Fraction(0)))
                gaps.append(off.gap)
                if (shown is None or len(text) == len(shown.text)) and off.gap > tolerance:
                    shown = off if shown is None or off.gap > shown.gap else shown
                below[text] = (off.expected, done)
        level = below
    total = sum(gaps, Fraction(0)) / 2
    if shown is None:
        return Finding(total, accepted)
    begins = " ".join(map(str, shown.text))
    return Finding(
        total, accepted, f"a text that begins with {begins}", shown.expected, shown.found
    )


def _passing(blocks: Mapping[tuple[Prefix, int], Fraction]) -> dict[Prefix, Fraction]:
    """Mass of the calls that accept a node and perhaps more, by node."""
    found: dict[Prefix, Fraction] = {}
    for (node, _), mass in blocks.items():
        for end in range(1, len(node) + 1):
            found[node[:end]] = found.get(node[:end], Fraction(0)) + mass
    return found


def add_blocks(blocks: Blocks, law: Iterable[tuple[tuple[Prefix, int], Fraction]]) -> None:
    """Add masses of outcomes.

    Example:
        >>> blocks = {((), 0): Fraction(1, 2)}
        >>> add_blocks(blocks, [(((), 0), Fraction(1, 4))])
        >>> str(blocks[(), 0])
        '3/4'
    """
    for outcome, mass in law:
        blocks[outcome] = blocks.get(outcome, Fraction(0)) + mass
