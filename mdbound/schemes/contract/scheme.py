"""What a verification scheme is: two rates, a sampler, and branch probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from mdbound.bounds.problem.array_types import FloatArray
from mdbound.errors import InvalidSettingError, UnsolvedError
from mdbound.schemes.contract import inputs
from mdbound.schemes.contract.facts import SchemeFacts, with_token_acceptance
from mdbound.schemes.contract.results import RowRates, Samples, SchemeRate, inside_unit
from mdbound.schemes.contract.rows import map_rows


class Scheme(ABC):
    """A lossless rule that turns drafted tokens into one token of the target distribution.

    A subclass sets the class attributes, decorates itself with `register` and implements
    `_row_rates` (or `_batch`, for all rows at once), `_draw` and `_output`, which only ever see
    checked float64 rows; and `_token_acceptance` where there is a closed form.

    Attributes:
        name: what `schemes.get` knows it by.
        table_order: position in `schemes.names()`.
        min_drafts: least number of drafts it is defined for.
        max_drafts: largest number, or None.
        identical_only: whether all drafts must come from one distribution.
        softmaxes: what rating a row costs at eight drafts and a vocabulary of 150,000, in softmaxes
            of its two distributions: about, from `benchmarks/`.
    """

    name: ClassVar[str]
    table_order: ClassVar[int] = 1000
    min_drafts: ClassVar[int] = 1
    max_drafts: ClassVar[int | None] = None
    identical_only: ClassVar[bool] = True
    softmaxes: ClassVar[float] = 5.0

    @property
    @abstractmethod
    def sampling(self) -> str:
        """Draft law, by its name in `mdbound.bounds`: the bound this scheme is compared with."""

    @property
    def seed(self) -> int | None:
        """Seed of the estimates, for schemes that ever need one."""
        return None

    @classmethod
    def facts(cls) -> SchemeFacts:
        """Name and limits, for refusals and tables.

        Example:
            >>> from mdbound import schemes
            >>> schemes.get("spechub").facts().numbers
            'exactly 2'
        """
        return SchemeFacts(
            cls.name,
            cls.table_order,
            cls.min_drafts,
            cls.max_drafts,
            cls.identical_only,
            token_acceptance=cls._token_acceptance is not Scheme._token_acceptance,
        )

    @classmethod
    def supports(cls, num_drafts: int) -> bool:
        """Whether the scheme is defined for this many drafts.

        Example:
            >>> from mdbound import schemes
            >>> schemes.get("spechub").supports(3)
            False
        """
        return cls.facts().supports(num_drafts)

    def acceptance(
        self,
        target: npt.ArrayLike,
        draft: inputs.Drafts,
        num_drafts: int,
        *,
        strict: bool = True,
    ) -> SchemeRate:
        """Probability of acceptance in both senses, over drafts and the scheme's own choices.

        Args:
            target: (V,) or (B, V) probabilities.
            draft: the same; or a list of `num_drafts` such arrays, one per draft, for schemes that
                take different drafts.
            num_drafts: drafted tokens per position.
            strict: whether a row that cannot be solved raises; else its rates are NaN.

        Raises:
            InvalidDistributionError: an array holds no distributions.
            InvalidSettingError: the scheme does not take such drafts; the message lists what fits.
            UnsolvedError: a row could not be solved, and `strict`.

        Example:
            >>> from mdbound import schemes
            >>> rate = schemes.get("single_draft").acceptance([0.5, 0.5], [0.75, 0.25], 1)
            >>> rate.accept, rate.membership, rate.standard_error
            (0.75, 0.75, 0.0)
        """
        problem = inputs.check_problem(self.facts(), target, draft, num_drafts)
        accept, membership, error = self._bounded_batch(problem, (problem.num_drafts,), strict)
        if problem.single:
            return SchemeRate(
                float(accept[0, 0]), float(membership[0, 0]), float(error[0, 0]), self.seed
            )
        return SchemeRate(accept[:, 0], membership[:, 0], error[:, 0], self.seed)

    def acceptance_curve(
        self,
        target: npt.ArrayLike,
        draft: npt.ArrayLike,
        max_drafts: int,
        *,
        strict: bool = True,
    ) -> SchemeRate:
        """`acceptance` for 1, 2, ..., max_drafts identical drafts, sharing what can be shared.

        Args:
            target: as `acceptance`.
            draft: (V,) or (B, V).
            max_drafts: the largest number of drafts.
            strict: as `acceptance`.

        Returns:
            Arrays of shape (max_drafts,) or (B, max_drafts); NaN at numbers of drafts that the
            scheme is not defined for.

        Raises:
            InvalidDistributionError: an array holds no distributions.
            InvalidSettingError: `max_drafts` is no whole number of at least 1.
            UnsolvedError: as `acceptance`.

        Example:
            >>> from mdbound import schemes
            >>> schemes.get("nss").acceptance_curve([0.5, 0.5], [0.5, 0.5], 2).membership.tolist()
            [0.5, 0.75]
        """
        problem = inputs.check_pair_problem(target, draft, max_drafts)
        counts = tuple(n for n in range(1, problem.num_drafts + 1) if self.supports(n))
        curves = [np.full((len(problem.target), problem.num_drafts), np.nan) for _ in range(3)]
        if counts:
            columns = np.array(counts) - 1
            for curve, values in zip(
                curves, self._bounded_batch(problem, counts, strict), strict=True
            ):
                curve[:, columns] = values
        if problem.single:
            curves = [curve[0] for curve in curves]
        return SchemeRate(curves[0], curves[1], curves[2], self.seed)

    def _bounded_batch(
        self, problem: inputs.Problem, counts: Sequence[int], strict: bool
    ) -> RowRates:
        """Rates of shape (B, number of counts), what rounding left outside [0, 1] put back."""
        found = self._batch(problem, counts, strict)
        return RowRates(
            inside_unit(found.accept), inside_unit(found.membership), found.standard_error
        )

    def _batch(
        self, problem: inputs.Problem, counts: Sequence[int], strict: bool = True
    ) -> RowRates:
        """Rates of shape (B, number of counts); NaN in rows that fail, unless `strict`."""

        def one_row(row: int) -> RowRates:
            rows = [q[row] for q in problem.drafts]
            try:
                if problem.identical:
                    return self._row_rates(problem.target[row], rows[0], counts)
                return self._row_rates_independent(problem.target[row], rows)
            except UnsolvedError:
                if strict:
                    raise
                return RowRates(*(np.full(len(counts), np.nan) for _ in range(3)))

        rates = map_rows(one_row, len(problem.target))
        return RowRates(*(np.stack(column) for column in zip(*rates, strict=True)))

    def sample(
        self,
        target: npt.ArrayLike,
        draft: inputs.Drafts,
        num_drafts: int,
        rng: np.random.Generator,
        size: int,
    ) -> Samples:
        """Run the algorithm `size` times at one position: draft, verify, emit.

        Args:
            target: (V,) probabilities.
            draft: (V,), or a list of `num_drafts` such arrays where the scheme takes them.
            num_drafts: drafted tokens per run.
            rng: source of randomness; the same state gives the same samples.
            size: number of runs.

        Raises:
            InvalidDistributionError: no distributions, or more than one row.
            InvalidSettingError: the scheme does not take such drafts, or `size` is below 1.

        Example:
            >>> import numpy as np
            >>> from mdbound import schemes
            >>> rng = np.random.default_rng(0)
            >>> schemes.get("nss").sample([0.5, 0.5], [0.5, 0.5], 3, rng, size=4).drafts.shape
            (4, 3)
        """
        problem = inputs.check_single_problem(self.facts(), target, draft, num_drafts)
        inputs.check_size(size)
        rows = [q[0] for q in problem.drafts]
        if problem.identical:
            rows = rows * problem.num_drafts
        return self._draw(problem.target[0], rows, rng, int(size))

    def branch_probabilities(
        self, target: npt.ArrayLike, draft: inputs.Drafts, drafted: Sequence[int]
    ) -> dict[int, float]:
        """P(output = token | these tokens were drafted), for each distinct drafted token.

        Args:
            target: (V,) probabilities.
            draft: (V,), or one array per drafted token where the scheme takes them.
            drafted: token ids in the order drafted.

        Returns:
            {token: probability} in order of first appearance. Summed over all drafted tuples,
            weighted by their probability, the values give the membership rate.

        Raises:
            InvalidDistributionError: no distributions, or more than one row.
            InvalidSettingError: the scheme does not take such drafts, or cannot draft this tuple.

        Example:
            >>> from mdbound import schemes
            >>> schemes.get("single_draft").branch_probabilities([0.5, 0.5], [0.8, 0.2], [0])
            {0: 0.625}
        """
        p, rows, tokens = self._given(target, draft, drafted)
        branches = self._branches(p, rows, tokens)
        return {token: float(branches[token]) for token in dict.fromkeys(tokens)}

    def output_law(
        self, target: npt.ArrayLike, draft: inputs.Drafts, drafted: Sequence[int]
    ) -> dict[int, float]:
        """P(output = token | these tokens were drafted), undrafted tokens included.

        Over all drafted tuples, weighted by their probability, the laws add up to the target: that
        is what lossless means, and `mdbound.audit` checks it of any function of this form.

        Args:
            target: as `branch_probabilities`.
            draft: as `branch_probabilities`.
            drafted: as `branch_probabilities`.

        Returns:
            {token: probability} of the tokens of positive probability; they sum to 1. Exact up to
            rounding; of Gumbel lists by an integral with an error of about 1e-13.

        Raises:
            InvalidDistributionError: as `branch_probabilities`.
            InvalidSettingError: as `branch_probabilities`.

        Example:
            >>> from mdbound import schemes
            >>> schemes.get("single_draft").output_law([0.5, 0.5], [0.8, 0.2], [0])
            {0: 0.625, 1: 0.375}
        """
        output = self._output(*self._given(target, draft, drafted))
        return {int(token): float(output[token]) for token in np.flatnonzero(output > 0.0)}

    def _given(
        self, target: npt.ArrayLike, draft: inputs.Drafts, drafted: Sequence[int]
    ) -> tuple[FloatArray, list[FloatArray], tuple[int, ...]]:
        """One checked row, a row for each drafted token, and the tokens, which can be drafted."""
        problem = inputs.check_single_problem(self.facts(), target, draft, len(drafted))
        rows = [q[0] for q in problem.drafts]
        if problem.identical:
            rows = rows * problem.num_drafts
        tokens = inputs.check_tokens(drafted, len(rows[0]))
        if not self.possible(rows, tokens):
            raise InvalidSettingError(
                f"scheme {self.name!r} cannot draft {tokens}: the probability of that tuple is 0 "
                "under its draft law; draw tuples with sample(), or check the order of the tokens"
            )
        return problem.target[0], rows, tokens

    def token_acceptance(
        self,
        target: npt.ArrayLike,
        draft: inputs.Drafts,
        num_drafts: int,
        token: npt.ArrayLike,
    ) -> float | FloatArray:
        """b(y) = P(output is y and y was drafted) / p(y), over drafts and the scheme's choices.

        The share of the output y that costs no target call of its own. Summed over tokens with
        weight p it is the membership rate; running products of it along a text of the target give
        the accepted depth of a full tree (`mdbound.paths.node_tail`).

        Args:
            target: (V,) or (B, V) probabilities.
            draft: the same; or a list of `num_drafts` such arrays, one per draft, for schemes that
                take different drafts.
            num_drafts: drafted tokens per position.
            token: the output y; one token id, or one a row.

        Returns:
            A float for one row, else shape (B,); exact, in [0, 1].

        Raises:
            InvalidDistributionError: an array holds no distributions, or p(y) = 0.
            InvalidSettingError: the scheme has no closed form of b (the message lists the schemes
                that have one), does not take such drafts, or y is no token.

        Example:
            >>> from mdbound import schemes
            >>> schemes.get("rrs_with_replacement").token_acceptance([1.0, 0.0], [0.5, 0.5], 2, 0)
            0.75
        """
        problem = inputs.check_problem(self.facts(), target, draft, num_drafts)
        if not self.facts().token_acceptance:
            raise InvalidSettingError(
                f"scheme {self.name!r} has no closed form of the acceptance of one token; schemes "
                f"for {problem.num_drafts} drafts that have one are "
                f"{', '.join(with_token_acceptance(problem.num_drafts))}"
            )
        tokens = inputs.check_output_tokens(problem, token)

        def one_row(row: int) -> float:
            rows = [q[row] for q in problem.drafts]
            if problem.identical:
                rows = rows * problem.num_drafts
            return float(self._token_acceptance(problem.target[row], rows, int(tokens[row])))

        found = np.array(map_rows(one_row, len(tokens)))
        return float(found[0]) if problem.single else found

    def possible(self, drafts: list[FloatArray], drafted: Sequence[int]) -> bool:
        """Whether the draft law gives this tuple a positive probability (tokens are checked)."""
        return all(q[x] > 0.0 for q, x in zip(drafts, drafted, strict=True))

    def _row_rates(self, p: FloatArray, q: FloatArray, counts: Sequence[int]) -> RowRates:
        """Rates of one row for each number of drafts in `counts` (ascending, supported)."""
        raise NotImplementedError(f"{type(self).__name__} needs _row_rates or _batch")

    def _row_rates_independent(self, p: FloatArray, drafts: list[FloatArray]) -> RowRates:
        """Rates of one row for drafts of different laws, as arrays of shape (1,)."""
        raise NotImplementedError(f"{type(self).__name__} takes identical drafts only")

    def _token_acceptance(self, p: FloatArray, drafts: list[FloatArray], token: int) -> float:
        """The share b of one token with p > 0; `drafts` has one array per drafted token."""
        raise NotImplementedError(f"{type(self).__name__} has no closed form")

    @abstractmethod
    def _draw(
        self, p: FloatArray, drafts: list[FloatArray], rng: np.random.Generator, size: int
    ) -> Samples:
        """`size` runs; `drafts` has one array per drafted token."""

    @abstractmethod
    def _output(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> FloatArray:
        """P(output = token | drafted) for each token of the vocabulary, shape (V,)."""

    def _branches(
        self, p: FloatArray, drafts: list[FloatArray], drafted: Sequence[int]
    ) -> dict[int, float]:
        """P(output = token | drafted) for at least the drafted tokens."""
        output = self._output(p, drafts, drafted)
        return {token: float(output[token]) for token in drafted}
