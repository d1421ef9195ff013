"""Search the best topology for the pair of a capture, from the text alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mdbound import trees
from mdbound.analysis.solving.solve_cache import SolveProgress
from mdbound.analysis.trees.topology_search.on_text import (
    TextValue,
    by_depth,
    pooled,
    value_on_text,
)
from mdbound.analysis.trees.topology_search.slot_draws import Floats, SlotDraws, draw_slots
from mdbound.bounds import Warpers, distribution_from_logits
from mdbound.errors import InvalidSettingError
from mdbound.logits_cache.store.cache import LogitsCache
from mdbound.trees import Topology
from mdbound.trees.verifiers.node_rules import NODE_RULES, NodeRule


@dataclass(frozen=True)
class SearchSetting:
    """What is searched.

    Attributes:
        rule: A rule of one position, by the name of its verifier.
        draft: Draft model.
        sampling: Law of a node's list; the first that the rule is for when None.
        budgets: Nodes of the tree.
        max_depth: Tokens of the longest path.
        max_children: Most children of a node.
        draft_temperature: Of the draft; the text's when None.
        positions: Positions of the text that lists are drawn at, the first ones.
        seed: Of the lists.
    """

    rule: str
    draft: str
    sampling: str | None = None
    budgets: tuple[int, ...] = (4, 8, 16, 32)
    max_depth: int = 6
    max_children: int = 4
    draft_temperature: float | None = None
    positions: int = 2000
    seed: int = 0

    def found_rule(self) -> NodeRule:
        """The rule.

        Raises:
            InvalidSettingError: No such rule of one position.
        """
        for rule in NODE_RULES:
            if rule.name == self.rule:
                return rule
        raise InvalidSettingError(
            f"`rule` {self.rule!r} is no rule of one position: choose from "
            f"{', '.join(rule.name for rule in NODE_RULES)}; other verifiers have no slots"
        )

    def found_sampling(self) -> str:
        """The law of a node's list.

        Raises:
            InvalidSettingError: The rule is not for it.
        """
        rule = self.found_rule()
        if self.sampling is None:
            return rule.samplings[0]
        if self.sampling not in rule.samplings:
            raise InvalidSettingError(
                f"`sampling` {self.sampling!r} is not for {self.rule!r}: give "
                f"{' or '.join(rule.samplings)}"
            )
        return self.sampling


@dataclass(frozen=True)
class FoundTopology:
    """The result for one budget.

    Attributes:
        budget: Nodes allowed.
        pooled: Best topology if all positions were alike, and what the search expects of it.
        pooled_value: The same topology on the text.
        weighted: Best topology for acceptance weighted by depth under the first.
        weighted_value: That one on the text.
    """

    budget: int
    pooled: tuple[float, Topology]
    pooled_value: TextValue
    weighted: tuple[float, Topology]
    weighted_value: TextValue

    @property
    def best(self) -> tuple[Topology, TextValue]:
        """Whichever of the two has the larger value on the text."""
        if self.weighted_value.expected_length > self.pooled_value.expected_length:
            return self.weighted[1], self.weighted_value
        return self.pooled[1], self.pooled_value


def search_capture(
    cache: LogitsCache,
    setting: SearchSetting,
    on_progress: Callable[[SolveProgress], None] | None = None,
) -> tuple[FoundTopology, ...]:
    """The best topology for each budget, and its value on the text.

    Args:
        cache: The capture, of text that the target wrote.
        setting: What to search.
        on_progress: Called after each batch of positions.

    Raises:
        InvalidSettingError: A rule, law or number out of range, or a text that was given.
        CacheError: The capture is damaged.
    """
    draws = slot_draws_of(cache, setting, on_progress)
    return tuple(search_budget(draws, setting, budget) for budget in setting.budgets)


def search_budget(draws: SlotDraws, setting: SearchSetting, budget: int) -> FoundTopology:
    """Search with the pooled vectors, weight them by depth under what is found, search again."""
    same = pooled(draws)
    size = (budget, setting.max_depth, setting.max_children)
    first = trees.search(lambda _, b: _vector(same, b), *size)
    value = value_on_text(first[1], draws)
    levels = by_depth(draws, value)

    def of_depth(depth: int, children: int) -> list[float]:
        return _vector(levels[depth] if depth < len(levels) else same, children)

    second = trees.search(of_depth, *size)
    return FoundTopology(budget, first, value, second, value_on_text(second[1], draws))


def slot_draws_of(
    cache: LogitsCache,
    setting: SearchSetting,
    on_progress: Callable[[SolveProgress], None] | None = None,
) -> SlotDraws:
    """Draw a list at each of the first positions of a capture.

    Raises:
        InvalidSettingError: As `search_capture`.
        CacheError: The capture is damaged.
    """
    rule, sampling = setting.found_rule(), setting.found_sampling()
    if min(setting.positions, setting.max_children, setting.max_depth, *setting.budgets) < 1:
        raise InvalidSettingError(
            "`positions`, `max_children`, `max_depth` and `budgets` are numbers of 1 or more"
        )
    recorded = cache.manifest.generation.warpers
    if recorded is None:
        raise InvalidSettingError(
            f"{cache.path} holds text that was given: a topology is searched on text that the "
            "target wrote; capture with `mode` generate"
        )
    target_law = Warpers.from_dict(recorded)
    temperature = setting.draft_temperature
    draft_law = target_law if temperature is None else target_law.at(temperature)
    rows: list[tuple[Floats, Floats]] = []
    keys: list[tuple[int, int]] = []
    total = min(setting.positions, cache.num_positions)
    for batch in cache.iter_batches(["target", setting.draft]):
        if len(rows) >= total:
            break
        p = distribution_from_logits(batch.logits["target"], **target_law.as_dict())
        q = distribution_from_logits(batch.logits[setting.draft], **draft_law.as_dict())
        places = batch.positions.select("doc_id", "position", "next_token_id").rows()
        for row, (doc, position, token) in enumerate(places[: total - len(rows)]):
            if not p[row, token] > 0.0:
                continue  # rounding at the edge of a cut: the text says otherwise than the row
            rng = np.random.default_rng([setting.seed, doc, position])
            rows.append(
                draw_slots(p[row], q[row], token, rule, sampling, setting.max_children, rng)
            )
            keys.append((doc, position))
        if on_progress is not None:
            on_progress(SolveProgress(len(rows), total, len(rows)))
    return _stacked(rows, keys)


def _stacked(rows: Sequence[tuple[Floats, Floats]], keys: Sequence[tuple[int, int]]) -> SlotDraws:
    documents = np.array([doc for doc, _ in keys], dtype=np.int64)
    positions = np.array([position for _, position in keys], dtype=np.int64)
    follows = np.zeros(len(keys), dtype=np.bool_)
    follows[1:] = (np.diff(documents) == 0) & (np.diff(positions) == 1)
    by_slot, of_text = (np.stack(each) for each in zip(*rows, strict=True))
    return SlotDraws(by_slot, of_text, documents, ~follows)


def _vector(means: Floats, children: int) -> list[float]:
    return [min(1.0, float(value)) for value in means[children - 1, :children]]
