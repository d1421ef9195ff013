"""Trees of tokens below contexts of a text: nodes of all of them in one pass, on the text's cache.

A four-dimensional mask lets every node see its context, its ancestors and itself. Masks of that
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
Place: TypeAlias = tuple[int, Node]
"""Tokens of the context, and those that lead from its end to the node."""

Float32Array = npt.NDArray[np.float32]

#: Tokens of the check: a text, and trees in which siblings and cousins must not see each other,
#: nor those of the shorter context what comes after it.
_TEXT = (0, 1, 2, 3)
_TREES: tuple[Place, ...] = (
    *((4, node) for node in ((1,), (2,), (1, 3), (1, 2), (2, 3), (1, 3, 1))),
    *((2, node) for node in ((1,), (1, 3))),
)

_checked: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


class TreePass:
    """Nodes below the contexts of one text after the other, read by a model that `reads_trees`.

    A context is the beginning of the text, and its nodes see no further: so the trees of several
    contexts share a pass. A text that goes on from the one before, as later turns of a
    conversation do, costs its further tokens only.

    Args:
        model: the model.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._past: Any = None
        self._text: tuple[int, ...] = ()
        self._columns: list[Place] = []

    def begin(self, text: Sequence[int]) -> None:
        """Read a text; the nodes of the one before are forgotten.

        Args:
            text: its tokens, up to the end of the longest context.
        """
        wanted = tuple(text)
        kept = len(self._text)
        if self._past is None or wanted[:kept] != self._text or kept == len(wanted):
            self._past, kept = None, 0
        elif self._columns:
            # So many columns less: newer versions know no other form, older ones this one, too.
            self._past.crop(-len(self._columns))
        self._columns = []
        output = self._forward(
            wanted[kept:], list(range(kept, len(wanted))), _causal(kept, len(wanted))
        )
        self._text, self._past = wanted, output.past_key_values

    def rows(self, places: Sequence[Place]) -> Float32Array:
        """Logits after nodes, shape (nodes, V).

        Args:
            places: how many tokens of the text the context has, and the tokens that lead from
                there to the node; ancestors come first, in this call or in one before.
        """
        before = len(self._text)
        columns = [*self._columns, *places]
        column = {place: before + index for index, place in enumerate(columns)}
        seen = np.zeros((len(places), before + len(columns)), dtype=np.bool_)
        for row, (context, node) in enumerate(places):
            seen[row, :context] = True
            above = [column[context, node[:depth]] for depth in range(1, len(node) + 1)]
            seen[row, above] = True
        tokens = [node[-1] for _, node in places]
        positions = [context - 1 + len(node) for context, node in places]
        output = self._forward(tokens, positions, seen)
        self._columns = columns
        logits = self._model.stored(output.logits[0, -len(places) :])
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
        reading.begin(_TEXT[:2])
        reading.rows([(2, (1,))])
        reading.begin(_TEXT)
        level = reading.rows(_TREES[:2])
        found = np.concatenate([level, reading.rows(_TREES[2:])])
        alone = [_alone(model, [*_TEXT[:context], *node]) for context, node in _TREES]
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
