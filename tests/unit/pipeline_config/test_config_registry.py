"""A registered model's name means one thing to the model server."""

import pytest
from pydantic import ValidationError

from pipeline_config.registry import RegistryConfig


@pytest.mark.parametrize("name", ["champion", "routing-v3"])
def test_refuses_a_model_name_that_the_server_takes_for_something_else(name: str) -> None:
    with pytest.raises(ValidationError, match="mean something else"):
        RegistryConfig(model_name=name)


@pytest.mark.parametrize("name", ["champions", "routing", "v3", "routing-v", "routing-v3-eu"])
def test_accepts_other_names(name: str) -> None:
    assert RegistryConfig(model_name=name).model_name == name
