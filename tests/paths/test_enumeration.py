"""Random context-dependent models, every path and outcome; and wrong rules, which must fail."""

from __future__ import annotations

import pytest

from tests.oracles import path_verification as oracle
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
