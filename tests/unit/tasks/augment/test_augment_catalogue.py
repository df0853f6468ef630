"""Operators are opened as they are configured, and what is missing is named with the command that brings it."""

from pathlib import Path

import pytest

from pipeline_config.augmentation import AugmentationConfig, BackTranslationConfig, EndpointConfig, ParaphraseConfig, SynonymConfig
from pipeline_config.errors import ConfigError
from pipeline_config.model import ModelConfig
from tasks.augment.catalogue import open_operators
from tasks.augment.operators import Missing

ENDPOINT = EndpointConfig(url="http://127.0.0.1:9/v1", model="m", api_key_variable="KEY_OF_NOBODY")


def opened(workspace: Path, config: AugmentationConfig) -> tuple[list[str], list[Missing]]:
    operators, missing = open_operators(config, ModelConfig(), workspace)
    return [operator.name for operator in operators], missing


def test_an_operator_without_a_section_is_off(tmp_path: Path) -> None:
    assert opened(tmp_path, AugmentationConfig()) == ([], [])


def test_they_come_in_the_order_of_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_NOBODY", "key")
    config = AugmentationConfig(
        paraphrase=ParaphraseConfig(endpoint=ENDPOINT), back_translation=BackTranslationConfig(backend="endpoint", endpoint=ENDPOINT)
    )
    assert opened(tmp_path, config) == (["back_translation", "paraphrase"], [])


def test_an_endpoint_without_its_key_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY_OF_NOBODY", raising=False)
    config = AugmentationConfig(
        paraphrase=ParaphraseConfig(endpoint=ENDPOINT), back_translation=BackTranslationConfig(backend="endpoint", endpoint=ENDPOINT)
    )
    names, missing = opened(tmp_path, config)
    needs = "the environment variable KEY_OF_NOBODY with the key of http://127.0.0.1:9/v1"
    assert names == []
    assert missing == [Missing(name, needs, "export KEY_OF_NOBODY=...") for name in ("back_translation", "paraphrase")]


def test_what_is_missing_and_required_is_an_error_that_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY_OF_NOBODY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = BackTranslationConfig(required=True)
    other = ParaphraseConfig(endpoint=ENDPOINT)
    with pytest.raises(ConfigError) as refused:
        open_operators(AugmentationConfig(back_translation=wanted, paraphrase=other), ModelConfig(), tmp_path)
    assert "augmentation.back_translation is required and needs Apertium with the pair en-es" in refused.value.what
    assert "paraphrase" not in refused.value.what
    assert refused.value.hint == "make system-deps"
    lenient = AugmentationConfig(back_translation=wanted.model_copy(update={"required": False}))
    assert opened(tmp_path, lenient) == ([], [Missing("back_translation", "Apertium with the pair en-es", "make system-deps")])


def test_models_that_are_not_there_are_missing(tmp_path: Path) -> None:
    config = BackTranslationConfig(backend="marian", marian=(str(tmp_path / "there"), str(tmp_path / "back")))
    names, (missing,) = opened(tmp_path, AugmentationConfig(back_translation=config))
    assert names == []
    assert str(tmp_path / "there") in missing.needs


def test_synonyms_are_opened_or_missing(tmp_path: Path) -> None:
    pytest.importorskip("tasks.augment.synonym")
    names, missing = opened(tmp_path, AugmentationConfig(synonym=SynonymConfig()))
    assert [*names, *(one.name for one in missing)] == ["synonym"]
