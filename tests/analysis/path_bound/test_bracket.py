"""The bracket on generated rows: bounds above every verifier, and the same numbers for a seed."""

from __future__ import annotations

import numpy as np
import pytest

from mdbound.analysis.path_bound.bracket_table import bracket_table
from mdbound.analysis.path_bound.crossed import crossed_bounds
from mdbound.analysis.path_bound.generated import generated_bounds
from mdbound.errors import InvalidSettingError
from mdbound.trees import Paths
from mdbound.trees.generated_contexts import VOCAB_SIZE, generated_context

LAW = Paths(2, 3)
CONTEXTS = 400


def test_paths_and_texts_have_the_laws_of_their_rows() -> None:
    """How often the likeliest first token comes, against the rows; drafts are no texts."""
    hits, chances, crossed = 0.0, 0.0, 0.0
    for number in range(600):
        context = generated_context(1, number, 3, 2)
        q, p = context.draft[VOCAB_SIZE], context.target[VOCAB_SIZE]
        best = int(q.argmax())
        hits += float(np.mean(context.paths[:, 0] == best))
        chances += float(q[best])
        crossed += float(p[best])
        assert context.text.max() < VOCAB_SIZE
    assert abs(hits - chances) / 600 < 3.5 * (0.25 / 1800) ** 0.5
    assert abs(hits - crossed) / 600 > 3.5 * (0.25 / 1800) ** 0.5


def test_bounds_are_above_what_verifiers_accept() -> None:
    contexts, accepted = generated_bounds(LAW, CONTEXTS, 0)
    found = crossed_bounds(contexts, LAW)
    best = max(accepted, key=lambda name: float(accepted[name].mean()))
    assert best == "quantile"
    for name, values in found.values.items():
        error = (values.var() + accepted[best].var()) ** 0.5 / CONTEXTS**0.5
        assert values.mean() > accepted[best].mean() - 2 * error, name
        assert values.mean() < LAW.length


def test_table_names_both_halves() -> None:
    table = bracket_table([Paths(1, 1), Paths(2, 2)], 80, seed=3)
    assert table.values == tuple(Paths(*one).title() for one in ((1, 1), (2, 2)))
    assert "(40 and 40)" in table.notes[1]
    assert table == bracket_table([Paths(1, 1), Paths(2, 2)], 80, seed=3)
    assert table != bracket_table([Paths(1, 1), Paths(2, 2)], 80, seed=4)


@pytest.mark.parametrize(
    ("contexts", "seed", "laws"), [(10, 0, [LAW]), (80, -1, [LAW]), (80, 0, [])]
)
def test_settings_that_are_none(contexts: int, seed: int, laws: list[Paths]) -> None:
    with pytest.raises(InvalidSettingError, match="`contexts`"):
        bracket_table(laws, contexts, seed)
