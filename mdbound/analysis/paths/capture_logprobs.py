"""A capture -> a few numbers a token and setting: all that tokens per call need of it.

Two log-probabilities, a third where the text was written at other settings, one number for each
rule on trees, and L of each rule whose last level is exact. One part file per shard, so that an
interrupted run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mdbound import paths
from mdbound.analysis.paths.path_setting import PathSetting
from mdbound.analysis.paths.texts import Floats
from mdbound.analysis.paths.tokens_before import TokensBefore, level_columns
from mdbound.analysis.paths.tree_rules import TreeRule
from mdbound.bounds import Warpers, distribution_from_logits
from mdbound.errors import CacheError
from mdbound.logits_cache.store.cache import LogitsBatch


def batch_logprobs(
    batch: LogitsBatch,
    settings: Sequence[PathSetting],
    rules: Sequence[TreeRule] = (),
    exact: Sequence[str] = (),
    before: TokensBefore | None = None,
) -> pl.DataFrame:
    """Numbers of the tokens that follow the positions of a batch.

    Args:
        batch: B positions.
        settings: The laws.
        rules: Rules on trees.
        exact: Rules of one path whose last level is exact.
        before: The tokens before, for these; it moves on.

    Returns:
        Columns `doc_id`, `position`, and for setting i log-probabilities `target_i` and `draft_i`,
        `sampling_i` where the text was written at other settings, what rule k needs of the
        token, `node_i_k`, 0 for a token that the target cannot give, and the levels of a rule,
        `last_i_RULE`.

    Raises:
        InvalidDistributionError: Logits that no distribution can be made of.
        CacheError: A position without a token that follows it.
    """
    tokens = _next_tokens(batch)
    rows = np.arange(len(tokens))
    columns: dict[str, Floats] = {}
    laws: dict[tuple[str, Warpers], Floats] = {}

    def law(model: str, warpers: Warpers) -> Floats:
        if (model, warpers) not in laws:
            made = distribution_from_logits(batch.logits[model], **warpers.as_dict())
            laws[model, warpers] = made
        return laws[model, warpers]

    for index, setting in enumerate(settings):
        p, q = law("target", setting.warpers), law(setting.draft, setting.draft_warpers)
        with np.errstate(divide="ignore"):  # tokens that a law does not give
            # Rounding may put the one token of a point mass above 1.
            columns[f"target_{index}"] = np.minimum(np.log(p[rows, tokens]), 0.0)
            columns[f"draft_{index}"] = np.minimum(np.log(q[rows, tokens]), 0.0)
            if setting.sampled is not None:
                s = law("target", setting.sampled)
                columns[f"sampling_{index}"] = np.minimum(np.log(s[rows, tokens]), 0.0)
        given = np.flatnonzero(p[rows, tokens] > 0.0)
        for rule, name in columns_of(index, rules).items():
            if name not in columns:
                columns[name] = _numbers(rule, p, q, tokens, given)
    places = batch.positions.select("doc_id", "position")
    frame = places.with_columns(_series(name, values) for name, values in columns.items())
    return frame if before is None else _with_levels(frame, settings, exact, before, law)


def columns_of(index: int, rules: Sequence[TreeRule]) -> dict[TreeRule, str]:
    """The column of each rule on trees at a setting; rules that need the same have the same.

    Example:
        >>> columns_of(0, [])
        {}
    """
    first: dict[tuple[object, ...], int] = {}
    return {rule: f"node_{index}_{first.setdefault(rule.needs, k)}" for k, rule in enumerate(rules)}


def _numbers(
    rule: TreeRule, p: Floats, q: Floats, tokens: NDArray[np.int64], given: NDArray[np.int64]
) -> Floats:
    """The numbers of tokens that the target can give; 0 of others."""
    found = rule.numbers(p[given], q[given], tokens[given])
    numbers = np.zeros((len(tokens), *found.shape[1:]))
    numbers[given] = found
    return numbers


def _series(name: str, values: Floats) -> pl.Series:
    if values.ndim == 1:
        return pl.Series(name, values)
    return pl.Series(name, values, dtype=pl.Array(pl.Float64, values.shape[1]))


def _with_levels(
    frame: pl.DataFrame,
    settings: Sequence[PathSetting],
    exact: Sequence[str],
    before: TokensBefore,
    law: Callable[[str, Warpers], Floats],
) -> pl.DataFrame:
    """The columns of levels, while the rows are in memory."""
    levels = []
    for index, (setting, known) in enumerate(zip(settings, before.advance(frame), strict=True)):
        p, q = law("target", setting.warpers), law(setting.draft, setting.draft_warpers)
        for scheme, name in level_columns(index, exact).items():
            found = paths.last_level_of_rows(p, q, known[0], known[1], scheme)
            levels.append(pl.Series(name, found, dtype=pl.Array(pl.Float64, found.shape[1])))
    return frame.with_columns(levels)


def _next_tokens(batch: LogitsBatch) -> NDArray[np.int64]:
    """The tokens that follow the positions, as the cache says them."""
    tokens = batch.positions["next_token_id"]
    vocab_size = batch.logits["target"].shape[1]
    bad = tokens.is_null() | (tokens < 0) | (tokens >= vocab_size)
    if bad.any():
        raise CacheError(
            f"shard {batch.shard}, row {batch.row + int(bad.arg_max() or 0)}: no next_token_id of "
            f"the {vocab_size} that have logits; only texts whose tokens are known have calls"
        )
    return tokens.to_numpy()
