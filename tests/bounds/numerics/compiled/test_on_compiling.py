"""Who waits for a compiler is told so, once for each name, and not when code is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TOLD = """
import numpy as np
from mdbound import bounds
logits = np.zeros((2, 5000), dtype=np.float32)
told = []
with bounds.on_compiling(told.append):
    bounds.distribution_from_logits(logits)
    bounds.entropy_from_logits(logits)
    bounds.solve_curve_from_logits(logits, logits, 2, "greedy")
bounds.distribution_from_logits(np.zeros((2, 5000)))
print(told)
"""


@pytest.mark.parametrize("plain", ["0", "1"])
def test_each_name_is_told_once_and_nothing_when_it_is_loaded(tmp_path, plain):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "MDBOUND_PLAIN_NJIT": plain}

    def told():
        run = subprocess.run(
            [sys.executable, "-c", TOLD],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout.strip()

    assert told() == "['fused_softmax', 'greedy']"
    assert told() == "[]"
