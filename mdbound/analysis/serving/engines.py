"""Acceptance rates and trees in the forms that serving engines read.

vLLM (`speculative_config`), llama.cpp (arguments of the server) and SGLang (environment and
arguments) can accept drafted tokens at given rates instead of verifying them, so that a load test
runs at the acceptance of a pair that is not at hand.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable

from mdbound.analysis.serving.acceptance_rates import AcceptanceRates
from mdbound.errors import refuse_unknown
from mdbound.trees import Topology

DIGITS = 6
"""Decimals of a rate: engines draw against it, and no run tells the seventh apart."""


def engine_text(engine: str, rates: AcceptanceRates) -> str:
    """Rates as an engine takes them.

    Args:
        engine: One of `ENGINES`.
        rates: Of `acceptance_rates`.

    Raises:
        InvalidSettingError: No such engine.

    Example:
        >>> print(engine_text("sglang", AcceptanceRates((0.75, 0.5), 9.0, {})), end="")
        export SGLANG_SIMULATE_ACC_LEN=2.25 SGLANG_SIMULATE_ACC_METHOD=match-expected
        # --speculative-num-steps 2 --speculative-eagle-topk 1 --speculative-num-draft-tokens 3
    """
    refuse_unknown([engine], ENGINES, "engine")
    return ENGINES[engine](rates)


def _rounded(rates: AcceptanceRates) -> list[float]:
    return [round(rate, DIGITS) for rate in rates.rates]


def _vllm(rates: AcceptanceRates) -> str:
    """JSON to add to `--speculative-config`: marginal rates, one for each drafted token."""
    values = {
        "num_speculative_tokens": rates.draft_length,
        "rejection_sample_method": "synthetic",
        "synthetic_acceptance_rates": _rounded(rates),
    }
    return json.dumps(values) + "\n"


def _llama_cpp(rates: AcceptanceRates) -> str:
    """Arguments of llama-server: marginal rates, one for each drafted token."""
    listed = ",".join(f"{rate:g}" for rate in _rounded(rates))
    return f"--spec-draft-n-max {rates.draft_length} --spec-synthetic-acceptance-rates {listed}\n"


def _sglang(rates: AcceptanceRates) -> str:
    """Environment of the server: the mean tokens of a call, the bonus token included."""
    length = round(rates.accept_length, DIGITS)
    steps = rates.draft_length
    return (
        f"export SGLANG_SIMULATE_ACC_LEN={length:g} SGLANG_SIMULATE_ACC_METHOD=match-expected\n"
        f"# --speculative-num-steps {steps} --speculative-eagle-topk 1 "
        f"--speculative-num-draft-tokens {steps + 1}\n"
    )


ENGINES: dict[str, Callable[[AcceptanceRates], str]] = {
    "vllm": _vllm,
    "llama-cpp": _llama_cpp,
    "sglang": _sglang,
}
"""By name: from rates to the text that the engine reads."""


def eagle_choices(topology: Topology) -> str:
    """A topology as EAGLE's `choices`: ranks from the root, shorter paths first.

    Example:
        >>> from mdbound.trees import topology_from_json
        >>> print(eagle_choices(topology_from_json("[[0], [0, 0], [1]]")), end="")
        [[0], [1], [0, 0]]
    """
    ordered = sorted(topology.slots, key=lambda slot: (len(slot), slot))
    return json.dumps([list(slot) for slot in ordered]) + "\n"


def sglang_tree(topology: Topology) -> str:
    """The smallest settings of SGLang's dynamic tree that hold as many tokens and as deep ones.

    SGLang chooses the nodes itself, by the draft's probabilities: what is fixed are the steps, the
    children of a node, and the tokens in all, the last accepted one counted.

    Example:
        >>> from mdbound.trees import topology_from_json
        >>> print(sglang_tree(topology_from_json("[[0], [0, 0], [1]]")), end="")
        --speculative-num-steps 2 --speculative-eagle-topk 2 --speculative-num-draft-tokens 4
    """
    widest = max(topology.num_children(node) for node in ((), *topology.slots))
    arguments = [
        *("--speculative-num-steps", str(topology.depth)),
        *("--speculative-eagle-topk", str(widest)),
        *("--speculative-num-draft-tokens", str(topology.size + 1)),
    ]
    return shlex.join(arguments) + "\n"
