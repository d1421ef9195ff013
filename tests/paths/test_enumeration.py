"""Random context-dependent models, every path and outcome; and wrong rules, which must fail."""

from __future__ import annotations

import pytest

from mdbound import paths
from tests.oracles import path_verification as oracle
from tests.oracles import several_paths
from tests.paths.enumeration import check_model

MODELS = 60


@pytest.mark.parametrize("seed", range(MODELS))
def test_model(seed: int) -> None:
    check_model(seed)


@pytest.mark.parametrize("wrong", oracle.WRONG)
def test_wrong_rules_are_not_lossless(wrong: str) -> None:
    errors = []
    for seed in range(20):
        target, draft = oracle.random_models(seed, 3, 2)
        errors.append(oracle.output_error(oracle.WRONG[wrong], target, draft, 2))
        assert oracle.output_error(oracle.run_block, target, draft, 2) == 0
    assert sum(error > 0 for error in errors) >= 3, errors


def test_token_residual_hides_with_two_tokens() -> None:
    """Why losslessness is tested with three: this wrong rule is lossless with two."""
    rule = oracle.WRONG["token residual"]
    for seed in range(20):
        target, draft = oracle.random_models(seed, 2, 2)
        assert oracle.output_error(rule, target, draft, 2) == 0


def test_point_mass_drafts_make_block_token_by_token() -> None:
    """With argmax or n-gram drafts both rules are one, path by path; with others they are not."""
    differ = 0
    for seed in range(30):
        target, draft = oracle.random_models(seed, 3, 3)
        sure = {
            w: tuple(oracle.ONE if y == row.index(max(row)) else oracle.ZERO for y in range(3))
            for w, row in draft.items()
        }
        for path, _ in oracle.paths_of(sure, (), 3):
            one, other = (paths.kernel(target, sure, path, s) for s in ("block", "single_draft"))
            assert one == other
        differ += paths.length_law(target, draft, 3, "block") != paths.length_law(
            target, draft, 3, "single_draft"
        )
    assert differ >= 10


def test_dropping_the_token_that_ended_a_draft_is_not_lossless() -> None:
    """A draft that stops early may keep the token it looked at, and not drop it.

    The draft ends where the next token would be token 0. Keeping it, the path is x_1..x_l 0;
    dropping it, x_1..x_l, which is then verified as a path of its own length.
    """
    for rule in (oracle.run_block, oracle.run_single_draft):
        errors: dict[bool, int] = {True: 0, False: 0}
        for seed in range(40):
            target, draft = oracle.random_models(seed, 3, 3)
            for keeps in errors:
                emitted: dict[oracle.Prefix, oracle.Fraction] = {}
                for path, mass in oracle.paths_of(draft, (), 2):
                    cut = path.index(0) + keeps if 0 in path else 2
                    for (accepted, y), share in rule(target, draft, (), path[:cut]).items():
                        block = (*path[:accepted], y)
                        emitted[block] = emitted.get(block, oracle.ZERO) + mass * share
                errors[keeps] += several_paths.output_error(target, emitted, 2) > 0
        assert errors[True] == 0
        assert errors[False] >= 20
