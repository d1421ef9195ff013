"""A network with the weights of its files: all of them, and no others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mdbound.errors import MdboundError, ModelError
from mdbound.logits_cache.models.gguf.header import read_header
from mdbound.logits_cache.models.gguf.one_reading import forget_readers
from mdbound.logits_cache.models.gguf.tensors import apply_remaining_tensors
from mdbound.logits_cache.models.model_files import ModelFiles, cannot_load
from mdbound.logits_cache.models.quiet_transformers import quiet_loading

#: Names in a message: enough to see what is wrong, few enough for a line.
_SHOWN = 3


def load_network(
    files: ModelFiles, config: Any, dtype: str, device: str
) -> tuple[Any, tuple[str, ...]]:
    """Load a model's network.

    Args:
        files: where the model is.
        config: its configuration.
        dtype: name of the type to compute in.
        device: where to put it.

    Returns:
        The network, and the names of tensors in the files that it has no place for.

    Raises:
        ModelError: the weights cannot be read, or are not all there.
    """
    with quiet_loading(files) as transformers:
        import torch

        try:
            network, report = transformers.AutoModelForCausalLM.from_pretrained(
                files.location,
                config=config,
                dtype=getattr(torch, dtype),
                output_loading_info=True,
                # Reported below, by name; the library's own error names none.
                ignore_mismatched_sizes=True,
                **_formats(files),
                **files.options,
            )
            unused = check_report(files, report)
            if files.gguf is not None:
                apply_remaining_tensors(network, read_header(files.gguf))
            return network.to(device).eval(), unused
        except MdboundError:
            raise
        except Exception as error:  # transformers raises whatever its readers raise
            raise cannot_load(files, error) from error
        finally:
            forget_readers()


def check_report(files: ModelFiles, report: Mapping[str, Any]) -> tuple[str, ...]:
    """Refuse a network in which weights were left as they were drawn at random.

    Tied weights (an output layer that is the embedding) are in no report.

    Args:
        files: where the model is.
        report: what transformers says about the loading.

    Returns:
        Names of tensors that the network has no place for.

    Raises:
        ModelError: naming weights that are missing or of another shape.
    """
    missing = report["missing_keys"]
    if missing:
        raise ModelError(
            f"model {files.source!r} lacks weights that its configuration asks for: "
            f"{_some(missing)}; they would be drawn at random, so give complete files"
        )
    mismatched = [
        f"{name} {tuple(have)}, not {tuple(want)}" for name, have, want in report["mismatched_keys"]
    ]
    if mismatched:
        raise ModelError(
            f"model {files.source!r} has weights of other shapes than its configuration asks for: "
            f"{_some(mismatched)}; give files that belong together"
        )
    if report["error_msgs"]:
        raise cannot_load(files, RuntimeError(report["error_msgs"][0]))
    return tuple(sorted(report["unexpected_keys"]))


def _formats(files: ModelFiles) -> dict[str, Any]:
    if files.gguf is None:
        return {"use_safetensors": True}
    from transformers import GgufConfig

    # Weights that stay in blocks are multiplied by kernels that are fetched from the hub.
    return {"quantization_config": GgufConfig(dequantize=True)}


def _some(names: Collection[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(sorted(names)[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
