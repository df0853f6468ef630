"""Where Liger's kernels cannot be had, that is said to whoever asked for them, and to nobody else."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tasks.train.liger import use_liger

MODEL: Any = SimpleNamespace(device=torch.device("cpu"), config=SimpleNamespace(model_type="llama"))


@pytest.mark.parametrize(("wanted", "note"), [(True, "Liger's kernels are not used: there is no CUDA device"), (None, None), (False, None)])
def test_on_a_cpu_only_who_asked_is_told(wanted: bool | None, note: str | None) -> None:
    assert use_liger(MODEL, wanted, lambda: 1.0, 1e-3) == note
