from __future__ import annotations

import subprocess
import sys


def test_only_running_models_imports_torch() -> None:
    code = (
        "import sys; from mdbound.logits_cache.capturing import capture, add_drafts;"
        "from mdbound.logits_cache import LogitsCache, write_cache;"
        "print([m for m in ('torch', 'transformers', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
