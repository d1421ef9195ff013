"""Trees of tokens below a context: the nodes of a level in one pass, on the context's cache.

A four-dimensional mask lets every node see the context, its ancestors and itself. Masks of that
kind are not what every architecture takes, and some take them and compute something else: a tree
of a few nodes is read both ways before a model is trusted with it.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mdbound.logits_cache.models.language_model import LanguageModel
from mdbound.logits_cache.models.probe.legs import difference
from mdbound.logits_cache.models.probe.length_switch import windows

if TYPE_CHECKING:
    import torch

Node: TypeAlias = tuple[int, ...]
Float32Array = npt.NDArray[np.float32]

#: Tokens of the check: a context, and a tree in which siblings and cousins must not see each other.
_CONTEXT = (0, 1, 2, 3)
_TREE: tuple[Node, ...] = ((1,), (2,), (1, 3), (1, 2), (2, 3), (1, 3, 1))

_checked: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


class TreePass:
    """Nodes below one context after the other, read by a model that `reads_trees`.

    A context that goes on from the one before, as later positions of a document do, costs its
    further tokens only.

    Args:
        model: the model.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._past: Any = None
        self._context: tuple[int, ...] = ()
        self._columns: list[Node] = []

    def begin(self, context: Sequence[int]) -> None:
        """Read a context; the nodes of the one before are forgotten.

        Args:
            context: its tokens.
        """
        wanted = tuple(context)
        kept = len(self._context)
        if self._past is None or wanted[:kept] != self._context or kept == len(wanted):
            self._past, kept = None, 0
        elif self._columns:
            # So many columns less: newer versions know no other form, older ones this one, too.
            self._past.crop(-len(self._columns))
        self._columns = []
        output = self._forward(
            wanted[kept:], list(range(kept, len(wanted))), _causal(kept, len(wanted))
        )
        self._context, self._past = wanted, output.past_key_values

    def rows(self, nodes: Sequence[Node]) -> Float32Array:
        """Logits after nodes, shape (nodes, V).

        Args:
            nodes: tokens that lead to each from the context; ancestors come first, in this call or
                in one before.
        """
        before = len(self._context)
        columns = [*self._columns, *nodes]
        seen = np.zeros((len(nodes), before + len(columns)), dtype=np.bool_)
        seen[:, :before] = True
        place = {node: before + index for index, node in enumerate(columns)}
        for row, node in enumerate(nodes):
            seen[row, [place[node[:depth]] for depth in range(1, len(node) + 1)]] = True
        tokens = [node[-1] for node in nodes]
        positions = [before - 1 + len(node) for node in nodes]
        output = self._forward(tokens, positions, seen)
        self._columns = columns
        logits = self._model.stored(output.logits[0, -len(nodes) :])
        found: Float32Array = logits.float().cpu().numpy()
        return found

    def _forward(
        self, tokens: Sequence[int], positions: Sequence[int], seen: npt.NDArray[np.bool_]
    ) -> Any:
        import torch

        network, device = self._model.network, self._model.device
        # Added to the scores: a boolean mask is taken for one by some attentions only.
        mask = torch.zeros(seen.shape, dtype=network.dtype, device=device)
        mask.masked_fill_(torch.tensor(~seen, device=device), torch.finfo(network.dtype).min)
        with torch.inference_mode():
            return self._model.forward(
                torch.tensor([list(tokens)], device=device),
                mask[None, None],
                torch.tensor([list(positions)], device=device),
                keep=len(tokens),
                use_cache=True,
                past_key_values=self._past,
            )


def reads_trees(model: LanguageModel, length: int) -> bool:
    """Whether a model reads trees as it reads their paths, up to a length.

    Args:
        model: the model; a tree is tried on it, once.
        length: tokens of the longest path and its context.
    """
    findings = model.findings
    if findings.position_ids != "counted" or findings.length_switch is not None:
        return False
    # A mask of our own takes the place of the model's window.
    if any(length > window for window in windows(model.network.config.get_text_config())):
        return False
    if model.network not in _checked:
        _checked[model.network] = _agrees(model)
    return _checked[model.network]


def _agrees(model: LanguageModel) -> bool:
    try:
        reading = TreePass(model)
        reading.begin(_CONTEXT[:2])
        reading.rows(_TREE[:1])
        reading.begin(_CONTEXT)
        level = reading.rows(_TREE[:2])
        found = np.concatenate([level, reading.rows(_TREE[2:])])
        alone = [_alone(model, [*_CONTEXT, *node]) for node in _TREE]
    except Exception:  # networks raise whatever their layers raise
        return False
    import torch

    size = difference(torch.from_numpy(found), torch.stack(alone))
    return size is not None and size <= model.findings.tolerance


def _alone(model: LanguageModel, tokens: Sequence[int]) -> torch.Tensor:
    """Logits after the last token of a sequence that is run by itself."""
    import torch

    row = torch.tensor([list(tokens)], device=model.device)
    with torch.inference_mode():
        output = model.forward(
            row, torch.ones_like(row), torch.arange(row.shape[1], device=model.device)[None], keep=1
        )
        last: torch.Tensor = model.stored(output.logits[0, -1]).float().cpu()
    return last


def _causal(before: int, total: int) -> npt.NDArray[np.bool_]:
    """What the tokens of a context from a place on see of it."""
    return np.arange(total)[None, :] <= np.arange(before, total)[:, None]
