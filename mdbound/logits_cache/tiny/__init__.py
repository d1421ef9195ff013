"""The bundled tiny pair: a 3-million-parameter target and a weaker draft, for demos and tests.

Both were trained on the Python language reference and standard library, share one tokenizer,
and load with `transformers` from the folder that `tiny_model_path` names. `MODEL_CARD.md`
beside this file has the data, the settings and the measured numbers; `train.py` made it all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mdbound.errors import ModelError

ROLES = ("target", "draft")


def tiny_model_path(role: Literal["target", "draft"]) -> Path:
    """The folder of one model of the tiny pair: weights, configuration and tokenizer.

    Args:
        role: "target" or "draft".

    Returns:
        A path for `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained`.

    Raises:
        ModelError: If the role is neither of the two.

    Example:
        >>> tiny_model_path("draft").name
        'draft'
    """
    if role not in ROLES:
        raise ModelError(f'role={role!r} is not part of the tiny pair: use "target" or "draft"')
    return Path(__file__).resolve().parent / role
