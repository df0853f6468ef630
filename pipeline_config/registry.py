"""Where versions are registered and who may let them into production."""

from typing import Literal

from pydantic import Field

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
