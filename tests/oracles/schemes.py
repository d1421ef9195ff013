"""Oracle of the schemes: every draft tuple and every branch, spelled out for a few tokens.

Nothing here shares a formula with the package: each function walks the algorithm as it would run,
with probabilities (`fractions.Fraction` wherever the scheme has rational branch probabilities).
A scheme is a pair: the law of its drafted tuple, and `verify(tuple)`, the list of
(probability, output token, accept step fired) that follows once the tuple is known.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tests.oracles import acceptance_over_all_sets, drafted_tuples
from tests.oracles.drafted_tuples import DraftLaw, Number

# The laws and the optimum are oracles of their own; here they are for tests of schemes.
independent_law = drafted_tuples.independent_law
with_replacement_law = drafted_tuples.with_replacement_law
without_replacement_law = drafted_tuples.without_replacement_law
greedy_law = drafted_tuples.greedy_law
optimum = acceptance_over_all_sets.optimum

Outcome = tuple[Number, int, bool]


@dataclass
class Enumeration:
    """What a scheme does, summed over all of its branches."""

    accept: Number = 0
    membership: Number = 0
    output: dict[int, Number] = field(default_factory=dict)
    branches: dict[tuple[int, ...], dict[int, Number]] = field(default_factory=dict)

    def output_error(self, target: Sequence[Number]) -> float:
        return max(abs(float(self.output.get(y, 0) - p)) for y, p in enumerate(target))


def enumerate_scheme(
    law: DraftLaw, verify: Callable[[tuple[int, ...]], Iterable[Outcome]]
) -> Enumeration:
    result = Enumeration()
    for drafted, weight in law.items():
        inside = dict.fromkeys(drafted, Fraction(0))
        for probability, token, accepted in verify(drafted):
            mass = weight * probability
            result.output[token] = result.output.get(token, 0) + mass
            if accepted:
                result.accept += mass
            if token in inside:
                result.membership += mass
                inside[token] = inside[token] + probability
        result.branches[drafted] = inside
    return result


def spechub_law(draft: Sequence[Number]) -> DraftLaw:
    hub = max(range(len(draft)), key=lambda x: (draft[x], -x))
    others = [x for x, m in enumerate(draft) if m > 0 and x != hub]
    if not others:
        return {(hub,): Fraction(1)}
    rest = sum(draft[x] for x in others)
    law: DraftLaw = {(x, hub): draft[x] for x in others}
    law.update({(hub, x): draft[hub] * draft[x] / rest for x in others})
    return law


# Verification -----------------------------------------------------------------------------------


def _positive(values: Iterable[Number]) -> list[Number]:
    return [max(v, Fraction(0)) for v in values]


def _sample_from(weights: Sequence[Number], reached: Number) -> Iterable[Outcome]:
    """The last step of most schemes: draw the output from unnormalised weights."""
    total = sum(weights)
    if reached > 0 and total > 0:
        for y, w in enumerate(weights):
            if w > 0:
                yield reached * w / total, y, False


def nss(target: Sequence[Number]) -> Callable[[tuple[int, ...]], Iterable[Outcome]]:
    def verify(drafted: tuple[int, ...]) -> Iterable[Outcome]:
        for y, mass in enumerate(target):
            yield mass, y, y in drafted

    return verify


def first_draft(
    target: Sequence[Number], draft: Sequence[Number]
) -> Callable[[tuple[int, ...]], Iterable[Outcome]]:
    """Test the first draft, drawn from `draft`; the others are neither looked at nor used."""

    def verify(drafted: tuple[int, ...]) -> Iterable[Outcome]:
        tested = drafted[0]
        accept = min(Fraction(1), target[tested] / draft[tested])
        yield accept, tested, True
        yield from _sample_from(
            _positive(p - q for p, q in zip(target, draft, strict=True)), 1 - accept
        )

    return verify


def recursive_rejection(
    target: Sequence[Number], draft: Sequence[Number], *, with_replacement: bool
) -> Callable[[tuple[int, ...]], Iterable[Outcome]]:
    def verify(drafted: tuple[int, ...]) -> Iterable[Outcome]:
        residual, proposal, reached = list(target), list(draft), Fraction(1)
        for x in drafted:
            accept = min(Fraction(1), residual[x] / proposal[x])
            yield reached * accept, x, True
            reached = reached * (1 - accept)
            if reached == 0:
                return
            left = _positive(r - c for r, c in zip(residual, proposal, strict=True))
            total = sum(left)
            residual = [v / total for v in left]
            if not with_replacement:
                kept = [m if y != x else Fraction(0) for y, m in enumerate(proposal)]
                total = sum(kept)
                proposal = [m / total if total else m for m in kept]
        yield from _sample_from(residual, reached)

    return verify


def k_seq(
    target: Sequence[Number], draft: Sequence[Number], n: int, rho: Number
) -> Callable[[tuple[int, ...]], Iterable[Outcome]]:
    kept = [min(p / rho, q) for p, q in zip(target, draft, strict=True)]
    beta = sum(kept)
    scale = (1 - (1 - beta) ** n) / beta if beta > 0 else Fraction(0)
    residual = _positive(p - k * scale for p, k in zip(target, kept, strict=True))

    def verify(drafted: tuple[int, ...]) -> Iterable[Outcome]:
        reached = Fraction(1)
        for x in drafted:
            accept = min(Fraction(1), target[x] / (rho * draft[x]))
            yield reached * accept, x, True
            reached = reached * (1 - accept)
        yield from _sample_from(residual, reached)

    return verify


def optimal_rho(target: Sequence[Fraction], draft: Sequence[Fraction], n: int) -> Fraction:
    """The smallest rho in [1, n] whose accepted mass fits under the target, by bisection.

    Rational arithmetic: at p = q the root is n-fold, and float64 would find it to u^(1/n) only.
    """

    def fits(rho: Fraction) -> bool:
        beta = sum(min(p / rho, q) for p, q in zip(target, draft, strict=True))
        return 1 - (1 - beta) ** n <= rho * beta

    low, high = Fraction(1), Fraction(n)
    if fits(low):
        return low
    for _ in range(130):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def spechub(
    target: Sequence[Number], draft: Sequence[Number]
) -> Callable[[tuple[int, ...]], Iterable[Outcome]]:
    law = spechub_law(draft)
    hub = max(range(len(draft)), key=lambda x: (draft[x], -x))
    left = list(target)
    first, second = {}, {}
    for (x1, x2), weight in law.items() if len(next(iter(law))) == 2 else ():
        if x2 == hub and x1 != hub:
            first[x1] = min(left[x1], weight)
            left[x1] -= first[x1]
    for (x1, x2), weight in law.items() if first else ():
        if x1 == hub:
            second[x2] = min(left[x2], weight)
            left[x2] -= second[x2]
    stuck = {
        slot: sum((w - taken[d[1 - slot]] for d, w in law.items() if d[slot] == hub), Fraction(0))
        if taken
        else (Fraction(1) if slot == 0 else Fraction(0))
        for slot, taken in ((0, second), (1, first))
    }
    hub_share = {}
    for slot in (0, 1):  # the hub drafted first is served before the hub drafted second
        taken_mass = min(left[hub], stuck[slot])
        left[hub] -= taken_mass
        hub_share[slot] = taken_mass / stuck[slot] if stuck[slot] else Fraction(0)

    def verify(drafted: tuple[int, ...]) -> Iterable[Outcome]:
        reached = Fraction(1)
        slot = drafted.index(hub)
        if len(drafted) == 2:
            other = drafted[1 - slot]
            accept = (second if slot == 0 else first)[other] / law[drafted]
            yield accept, other, True
            reached -= accept
        yield reached * hub_share[slot], hub, True
        yield from _sample_from(left, reached * (1 - hub_share[slot]))

    return verify


def greedy(
    target: Sequence[Number], draft: Sequence[Number], n: int
) -> Callable[[tuple[int, ...]], Iterable[Outcome]]:
    law = greedy_law(draft, n)
    ranked = sorted((x for x, m in enumerate(draft) if m > 0), key=lambda x: (-draft[x], x))
    has_random = len(ranked) > n - 1
    proposal = [Fraction(0)] * len(target)
    for drafted, weight in law.items() if has_random else ():
        proposal[drafted[-1]] = weight
    residual = _positive(p - h for p, h in zip(target, proposal, strict=True))

    def verify(drafted: tuple[int, ...]) -> Iterable[Outcome]:
        reached = Fraction(1)
        if has_random:
            z = drafted[-1]
            accept = min(Fraction(1), target[z] / proposal[z])
            yield accept, z, True
            reached -= accept
        yield from _sample_from(residual, reached)

    return verify


def tournament(
    target: Sequence[Number],
    winner_given: Callable[[tuple[int, ...]], dict[int, Number]],
    law: DraftLaw,
) -> Callable[[tuple[int, ...]], Iterable[Outcome]]:
    """Pick one token of the tuple by `winner_given`, then test it against the winner's law."""
    winner_law = [0.0] * len(target)
    for drafted, weight in law.items():
        for z, share in winner_given(drafted).items():
            winner_law[z] += float(weight) * float(share)
    residual = [max(float(p) - w, 0.0) for p, w in zip(target, winner_law, strict=True)]

    def verify(drafted: tuple[int, ...]) -> Iterable[Outcome]:
        for z, share in winner_given(drafted).items():
            accept = min(1.0, float(target[z]) / winner_law[z])
            yield share * accept, z, True
            yield from _sample_from(residual, share * (1 - accept))

    return verify


# Gumbel list sampling: exact integrals of sums of exponentials ------------------------------------

Exponentials = dict[Fraction, Fraction]  # {g: c} stands for sum of c * exp(-g * level)


def _times(a: Exponentials, b: Exponentials) -> Exponentials:
    product: Exponentials = {}
    for (g, c), (h, d) in itertools.product(a.items(), b.items()):
        product[g + h] = product.get(g + h, Fraction(0)) + c * d
    return product


@dataclass
class _Clocks:
    """One stream of exponential clocks: integrals over its draft's ratio u, at a given level."""

    target: Sequence[Fraction]
    draft: Sequence[Fraction]

    def __post_init__(self) -> None:
        sizes = range(len(self.target))
        self.vocabulary = [i for i in sizes if self.target[i] > 0 or self.draft[i] > 0]
        self.support = [x for x in self.vocabulary if self.draft[x] > 0]
        self.ratio = {x: Fraction(self.target[x]) / self.draft[x] for x in self.support}

    def above(self, u: Fraction) -> Fraction:
        return sum((max(self.target[i], u * self.draft[i]) for i in self.vocabulary), Fraction(0))

    def time_integral(self, low: Fraction, high: Fraction | None) -> Exponentials:
        """Level times the integral over u in (low, high) of exp(-level * above(u))."""
        cuts = sorted({r for r in self.ratio.values() if r > low and (high is None or r < high)})
        edges = [low, *cuts, *([] if high is None else [high])]
        out: Exponentials = {}
        for i, start in enumerate(edges):
            end = edges[i + 1] if i + 1 < len(edges) else None
            if end is None and high is not None:
                break
            below = [self.draft[x] for x in self.support if self.ratio[x] <= start]
            slope = sum(below, Fraction(0))
            out[self.above(start)] = out.get(self.above(start), Fraction(0)) + 1 / slope
            if end is not None:
                out[self.above(end)] = out.get(self.above(end), Fraction(0)) - 1 / slope
        return out

    def ring(self, drafted: int, output: int) -> Exponentials | None:
        """Density with which the stream drafts one token and rings another; None if it cannot."""
        if drafted == output:
            return {self.above(self.ratio[output]): self.ratio[output]}
        if self.draft[output] > 0 and self.ratio[output] <= self.ratio[drafted]:
            return None
        last = self.ratio[output] if self.draft[output] > 0 else None
        span = self.time_integral(self.ratio[drafted], last)
        return {g: self.target[output] * c for g, c in span.items()}

    def quiet(self, drafted: int) -> Exponentials:
        """Probability, over that of the draft, that it is drafted and nothing rings."""
        return self.time_integral(self.ratio[drafted], None)


def gumbel_list(target: Sequence[Fraction], draft: Sequence[Fraction], n: int) -> Enumeration:
    """Joint law of (drafted tuple, output) by integrating over the level of the winning clock.

    In stream k every token i has an Exp(1) clock S_i; the draft is argmin S_i / q_i and the output
    argmin over tokens and streams of S_i / p_i. Fix a level: all clocks must exceed p_i * level.
    """
    clocks = _Clocks(target, draft)
    quiet = {x: clocks.quiet(x) for x in clocks.support}
    result = Enumeration()
    for drafted in itertools.combinations_with_replacement(clocks.support, n):
        weight = Fraction(len(set(itertools.permutations(drafted))))
        for x in drafted:
            weight *= draft[x]
        inside = {}
        for j in (i for i in clocks.vocabulary if target[i] > 0):
            given = Fraction(0)
            for k, x in enumerate(drafted):
                density = clocks.ring(x, j)
                if density is None:
                    continue
                for y in (*drafted[:k], *drafted[k + 1 :]):
                    density = _times(density, quiet[y])
                given += sum((c / g for g, c in density.items()), Fraction(0))
            result.output[j] = result.output.get(j, Fraction(0)) + weight * given
            if j in drafted:
                inside[j] = given
                result.membership += weight * given
        result.branches[drafted] = inside
    result.accept = result.membership
    return result
