"""Trees in one pass against each path alone, on the architectures that people draft with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from mdbound.logits_cache.capturing.drafting.node_reader import NodeReader
from mdbound.logits_cache.models import tree_pass
from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.tree_pass import TreePass, reads_trees
from mdbound.logits_cache.store.manifest import ModelRecord
from mdbound.logits_cache.store.probe_record import ProbeRecord

VOCAB = 50
WINDOW = 8
TREE = ((3,), (5,), (3, 7), (3, 5), (5, 7), (3, 7, 3), (3, 7, 9), (5, 7, 1))
CONTEXT = (4, 8, 15, 16, 23)
SMALL: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}


def network_of(kind: str, attention: str) -> Any:
    import transformers as t

    rope: dict[str, Any] = {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2}
    configs: dict[str, Any] = {
        "llama": lambda: t.LlamaConfig(**rope),
        "qwen2": lambda: t.Qwen2Config(**rope),
        "gpt2": lambda: t.GPT2Config(
            vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64
        ),
        "opt": lambda: t.OPTConfig(**SMALL, ffn_dim=48, word_embed_proj_dim=32),
        "mistral": lambda: t.MistralConfig(**rope, sliding_window=WINDOW),
    }
    config = configs[kind]()
    config._attn_implementation = attention
    torch.manual_seed(7)
    network = t.AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    network = network.float().eval()
    for parameter in network.parameters():  # far from 0, so that a wrong mask shows
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def model_of(network: Any, **findings: Any) -> LanguageModel:
    record = ModelRecord(
        name="m", source="m", kind="hf", revision="r", dtype="float32", logits_width=VOCAB
    )
    return LanguageModel(
        record, network, "cpu", VOCAB, 0, frozenset(), ProbeRecord(19, 1e-3, **findings)
    )


def alone(network: Any, tokens: tuple[int, ...]) -> np.ndarray:
    with torch.no_grad():
        row = torch.tensor([list(tokens)])
        return np.asarray(network(row, use_cache=False).logits[0, -1].numpy())


def places(context: tuple[int, ...], nodes: Any = TREE) -> list[tuple[int, tuple[int, ...]]]:
    return [(len(context), node) for node in nodes]


def worst(network: Any, context: tuple[int, ...], rows: np.ndarray) -> float:
    expected = np.stack([alone(network, (*context, *node)) for node in TREE])
    return float(np.abs(rows - expected).max() / max(1.0, np.abs(expected).max()))


KINDS = ("llama", "qwen2", "gpt2", "opt")


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tree_is_read_as_its_paths(kind: str, attention: str) -> None:
    network = network_of(kind, attention)
    model = model_of(network)
    assert reads_trees(model, 20)
    reading = TreePass(model)
    reading.begin(CONTEXT[:3])
    reading.rows(places(CONTEXT[:3], TREE[:4]))  # forgotten with its text
    reading.begin(CONTEXT)
    tree = places(CONTEXT)
    found = np.concatenate(
        [reading.rows(tree[:2]), reading.rows(tree[2:5]), reading.rows(tree[5:])]
    )
    assert worst(network, CONTEXT, found) < 1e-5
    reading.begin((9, 9))  # another text
    assert worst(network, (9, 9), reading.rows(places((9, 9)))) < 1e-5


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", KINDS)
def test_trees_of_several_contexts_share_a_pass(kind: str, attention: str) -> None:
    network = network_of(kind, attention)
    reading = TreePass(model_of(network))
    reading.begin(CONTEXT)
    lengths = (2, 3, 5)
    level = [(n, node) for node in TREE for n in lengths]
    found = np.concatenate([reading.rows(level[:6]), reading.rows(level[6:])])
    for index, n in enumerate(lengths):
        own = found[index :: len(lengths)]
        assert worst(network, CONTEXT[:n], own) < 1e-5
        # The control: rows of another context of the text are others.
        assert worst(network, CONTEXT[: lengths[index - 1]], own) > 1e-2


def test_nodes_that_see_their_siblings_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with a causal mask over the nodes rows differ by much, and so says the check."""
    network = network_of("llama", "sdpa")
    real = TreePass._forward

    def causal(self: TreePass, tokens: Any, positions: Any, seen: Any) -> Any:
        width = seen.shape[1]
        rows = np.arange(width - len(tokens), width)
        return real(self, tokens, positions, np.arange(width)[None, :] <= rows[:, None])

    monkeypatch.setattr(TreePass, "_forward", causal)
    model = model_of(network)
    reading = TreePass(model)
    reading.begin(CONTEXT)
    assert worst(network, CONTEXT, reading.rows(places(CONTEXT))) > 1e-2
    assert not reads_trees(model, 20)


def test_sliding_windows_are_read_path_by_path_as_soon_as_they_matter() -> None:
    network = network_of("mistral", "sdpa")
    model = model_of(network)
    assert reads_trees(model, WINDOW)
    assert not reads_trees(model, WINDOW + 1)
    reader = NodeReader(model)
    for context in (CONTEXT, CONTEXT * 3, CONTEXT):
        reader.begin(context, 3)
        assert worst(network, context, reader.rows(places(context))) < 1e-5
    reader.begin(CONTEXT * 3, 3)
    several = reader.rows([*places(CONTEXT), *places(CONTEXT * 2)])
    assert worst(network, CONTEXT, several[: len(TREE)]) < 1e-5
    assert worst(network, CONTEXT * 2, several[len(TREE) :]) < 1e-5
    forced = TreePass(model)
    forced.begin(CONTEXT * 3)
    try:
        found = forced.rows(places(CONTEXT * 3))
    except Exception:  # some versions refuse the mask, others ignore the window
        return
    assert worst(network, CONTEXT * 3, found) > 1e-3


@pytest.mark.parametrize(
    "findings", [{"position_ids": "own"}, {"position_ids": "none"}, {"length_switch": 32}]
)
def test_models_that_place_tokens_themselves_are_read_path_by_path(
    findings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(network_of("llama", "sdpa"), **findings)
    assert not reads_trees(model, 10)
    monkeypatch.setattr(tree_pass, "_agrees", lambda _: pytest.fail("tried"))
    reader = NodeReader(model)
    reader.begin(CONTEXT, 3)
    if findings.get("position_ids") != "none":
        assert worst(model.network, CONTEXT, reader.rows(places(CONTEXT))) < 1e-5


def test_a_network_that_refuses_such_masks_falls_back() -> None:
    network = network_of("llama", "sdpa")

    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("two dimensions")

    network.forward = refuse
    assert not reads_trees(model_of(network), 10)
