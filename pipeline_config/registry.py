"""Where versions are registered and who may let them into production."""

import re
from typing import Literal

from pydantic import Field, field_validator

from pipeline_config.base import Section


class RegistryConfig(Section):
    """MLflow's registry and the approval policy of promotion."""

    model_name: str = Field(
        "helpdesk-routing", pattern=r"^[a-z0-9][a-z0-9-]*$", description="name of the registered model; also the prefix of adapter names"
    )
    experiment: str = Field("tunegate", min_length=1, description="MLflow experiment of the runs")
    approval: Literal["auto", "mlflow_review"] = Field(
        "mlflow_review",
        description="`auto`: a passing verdict is enough (local presets only); `mlflow_review`: a reviewer decides on the version's page",
    )

    @field_validator("model_name")
    @classmethod
    def _means_one_thing(cls, name: str) -> str:
        """The model server answers to model names, to adapter names (`<model>-v<version>`) and to `champion`."""
        if name == "champion" or re.search(r"-v[0-9]+$", name):
            raise ValueError("`champion`, and names that end like a version (`-v3`), mean something else to the model server")
        return name
