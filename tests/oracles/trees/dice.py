"""Every way in which a random algorithm can run: it is run again for each of them.

An algorithm is written as a server would run it and draws from `Dice`; `law` replays it with every
possible sequence of draws, and sums their probabilities. No closed form is needed anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from typing import TypeAlias, TypeVar

Number: TypeAlias = Fraction
Outcome = TypeVar("Outcome", bound=Hashable)

ONE, ZERO = Fraction(1), Fraction(0)


class Dice:
    """Draws that follow a script, and first options after its end."""

    def __init__(self, script: list[int]) -> None:
        self.script = script
        self.widths: list[int] = []
        self.mass = ONE

    def pick(self, weights: Sequence[Number]) -> int:
        """An index of positive weight, proportionally to the weights."""
        options = [index for index, weight in enumerate(weights) if weight > 0]
        assert options, "nothing to draw from"
        if len(options) == 1:
            return options[0]
        if len(self.widths) == len(self.script):
            self.script.append(0)
        drawn = options[self.script[len(self.widths)]]
        self.widths.append(len(options))
        self.mass *= weights[drawn] / sum(weights)
        return drawn

    def coin(self, probability: Number) -> bool:
        assert 0 <= probability <= 1, probability
        return self.pick((1 - probability, probability)) == 1


def law(run: Callable[[Dice], Outcome]) -> dict[Outcome, Number]:
    """The law of what an algorithm returns."""
    found: dict[Outcome, Number] = {}
    script: list[int] = []
    while True:
        dice = Dice(script)
        outcome = run(dice)
        found[outcome] = found.get(outcome, ZERO) + dice.mass
        while script and script[-1] + 1 == dice.widths[len(script) - 1]:
            script.pop()
        if not script:
            return found
        script[-1] += 1
