"""What settings of augmentation exclude one another."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline_config.augmentation import AugmentationConfig

ENDPOINT = {"url": "http://127.0.0.1:9/v1", "model": "m"}


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"synonym": {"parts": ["answer"]}}, "add request or instruction"),
        ({"synonym": {"parts": []}}, "at least 1 item"),
        ({"paraphrase": {"endpoint": {**ENDPOINT, "max_cost": 1.0}}}, "nothing is counted"),
        ({"paraphrase": {"endpoint": {**ENDPOINT, "url": "ftp://127.0.0.1"}}}, "url"),
        ({"back_translation": {"backend": "marian"}}, "needs two models"),
        ({"back_translation": {"backend": "endpoint"}}, "needs to know whom to ask"),
        ({"back_translation": {"pivot": "en"}}, "own language"),
        ({"accept": {"min_similarity": 0.9, "max_similarity": 0.9}}, "must be below"),
    ],
)
def test_what_cannot_be_done_is_refused(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AugmentationConfig.model_validate(section)


def test_an_operator_without_a_section_is_off() -> None:
    config = AugmentationConfig.model_validate({"paraphrase": {}, "synonym": {"parts": ["instruction", "answer"]}})
    assert list(config.operators()) == ["synonym", "paraphrase"]
    assert list(config.without(frozenset({"synonym"})).operators()) == ["paraphrase"]
