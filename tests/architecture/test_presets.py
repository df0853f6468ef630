"""Every preset loads, and says what it must."""

from pathlib import Path
from typing import get_args

import pytest

from pipeline_config.loading import PRESETS, PresetName, load_config

NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml"))


def test_the_form_offers_every_preset() -> None:
    assert sorted(get_args(PresetName)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_loads(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BANKING77_DIR", str(tmp_path))
    config = load_config(name)
    assert config.environment == "local"
    assert config.registry.approval == "auto"
    kinds = {gate.kind for gate in config.gates.values()}
    assert kinds == {"threshold", "improvement", "non_inferiority", "overfitting", "forgetting", "leakage", "safety"}


def test_presets_do_not_share_a_registered_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BANKING77_DIR", str(tmp_path))
    names = [load_config(name).registry.model_name for name in NAMES]
    assert len(set(names)) == len(names)
