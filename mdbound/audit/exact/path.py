"""One drafted path: is a rule lossless, given its law of (accepted length, next token)?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

from mdbound.audit.calls import Numbers, call, rows_for
from mdbound.audit.exact.finding import TOLERANCE, Audited, Finding, malformed
from mdbound.audit.exact.laws import FaultyLawError, read_law, token_reader
from mdbound.audit.exact.simpler_models import given_models, model_size, simpler_models
from mdbound.audit.exact.text import Blocks, add_blocks, examine_text
from mdbound.audit.problems.models import ModelProblem, path_problems
from mdbound.audit.report import AuditReport
from mdbound.paths.tiny.model import Prefix

PathKernel: TypeAlias = Callable[[Any, Any, tuple[int, ...]], Any]
"""From rows of the target, rows of the draft and the path to {(length, token): probability}."""


def exact_path(
    kernel: PathKernel,
    draft_length: int,
    *,
    numbers: Numbers = "float",
    tolerance: float = TOLERANCE,
    problems: Sequence[ModelProblem] | None = None,
) -> AuditReport:
    """Audit a rule that verifies one drafted path, given its probabilities.

    All paths over three tokens are enumerated, on models whose rows change with the prefix; on one
    of the problems the drafter stops early, so that the paths are shorter.

    Args:
        kernel: `kernel(target_rows, draft_rows, path) -> {(length, token): probability}`: l + 1
            rows of p and l rows of q along a path of l <= L tokens, the first at the context; the
            number of accepted tokens, and the token that follows them.
        draft_length: L, 1 to 4.
        numbers: rows as `"float"` (float64 arrays) or `"fraction"` (tuples of Fraction).
        tolerance: largest total variation, over texts of L + 1 tokens, that is rounding.
        problems: instead of the battery.

    Returns:
        A report; each problem says how many drafted tokens are put out beside the most that a
        stateless lossless rule reaches (block verification's, theorem T3).

    Raises:
        AuditError: the rule raised.
        InvalidSettingError: a length that the battery does not have.

    Example:
        >>> from mdbound import audit
        >>> print(audit.exact_path(audit.path_rule("block"), 2, numbers="fraction"))
        lossless: the output has the target's law exactly, on 15 problems of one drafted path
    """
    chosen = path_problems(draft_length) if problems is None else tuple(problems)
    least = Fraction(tolerance)
    kind = Audited(
        lambda problem: _examine(kernel, problem, numbers, least),
        lambda problem: simpler_models(problem, shorter=True),
        model_size,
        most_accepted,
        given_models,
    )
    return kind.audit(chosen, tolerance, "problems of one drafted path")


def _examine(
    kernel: PathKernel, problem: ModelProblem, numbers: Numbers, tolerance: Fraction
) -> Finding:
    blocks: Blocks = {}
    accepted = Fraction(0)
    for path, mass in drafted_paths(problem):
        prefixes = [path[:end] for end in range(len(path) + 1)]
        p = _stacked([rows_for(problem.target[prefix], numbers) for prefix in prefixes], numbers)
        q = _stacked(
            [rows_for(problem.draft[prefix], numbers) for prefix in prefixes[:-1]], numbers
        )
        where = f"path {' '.join(map(str, path))}"
        found = call(kernel, (p, q, path), f"{problem.name}, {where}")
        try:
            law = read_law(found, _outcome_reader(problem.vocab_size, len(path)), tolerance)
        except FaultyLawError as error:
            return malformed(where, str(error))
        for (length, token), share in law.items():
            again = length < len(path) and token == path[length]
            accepted += mass * share * (length + again)
        add_blocks(
            blocks,
            (((path[:length], token), mass * share) for (length, token), share in law.items()),
        )
    return examine_text(problem.target, blocks, problem.length, accepted, tolerance)


def _stacked(rows: list[Any], numbers: Numbers) -> Any:
    if numbers == "fraction":
        return rows
    import numpy as np

    return np.stack(rows)


def _outcome_reader(vocab_size: int, longest: int) -> Callable[[Any], tuple[int, int]]:
    read_token = token_reader(vocab_size)

    def read(key: Any) -> tuple[int, int]:
        length, token = key
        if int(length) != length or not 0 <= length <= longest:
            raise ValueError(f"lengths are 0 to {longest}")
        return int(length), read_token(token)

    return read


def drafted_paths(problem: ModelProblem) -> Iterator[tuple[Prefix, Fraction]]:
    """Every path that the draft can give, with its probability.

    Example:
        >>> from mdbound.audit.problems.models import path_problems
        >>> [(path, str(mass)) for path, mass in drafted_paths(path_problems(1)[0])]
        [((0,), '3/16'), ((1,), '1/2'), ((2,), '5/16')]
    """
    waiting: list[tuple[Prefix, Fraction]] = [((), Fraction(1))]
    while waiting:
        prefix, mass = waiting.pop()
        if not problem.goes_on(prefix):
            yield prefix, mass
            continue
        tokens = enumerate(problem.draft[prefix])
        waiting += [((*prefix, y), mass * share) for y, share in tokens if share > 0][::-1]


def most_accepted(problem: ModelProblem) -> Fraction:
    """The most drafted tokens that a stateless lossless rule puts out on average.

    The sum over prefixes of q rho with rho = min(1, rho' p / q) along the path: block
    verification's, which none exceeds (theorem T3 of docs/tokens-per-call.md).

    Example:
        >>> from mdbound.audit.problems.models import path_problems
        >>> str(most_accepted(path_problems(1)[0]))
        '11/16'
    """
    total = Fraction(0)
    waiting: list[tuple[Prefix, Fraction, Fraction]] = [((), Fraction(1), Fraction(1))]
    while waiting:
        prefix, mass, share = waiting.pop()
        if not problem.goes_on(prefix):
            continue
        for token, drafted in enumerate(problem.draft[prefix]):
            if drafted > 0:
                kept = min(Fraction(1), share * problem.target[prefix][token] / drafted)
                total += mass * drafted * kept
                waiting.append(((*prefix, token), mass * drafted, kept))
    return total
