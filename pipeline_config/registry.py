"""Where versions are registered and who may let them into production."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from pipeline_config.base import Section

Policy = Literal["auto", "mlflow_review", "prefect_input"]


class RegistryConfig(Section):
    """MLflow's registry and the approval policy of promotion."""

    model_name: str = Field(
        "helpdesk-routing", pattern=r"^[a-z0-9][a-z0-9-]*$", description="name of the registered model; also the prefix of adapter names"
    )
    experiment: str = Field("tunegate", min_length=1, description="MLflow experiment of the runs")
    approval: Policy = Field(
        "mlflow_review",
        description="`auto`: a passing verdict is enough (local presets only); `mlflow_review`: a reviewer decides on the version's page; "
        "`prefect_input`: a person fills in the form of the waiting promotion run",
    )
    approval_expires_hours: float | None = Field(
        168.0, gt=0, description="hours after a version's registration within which its approval counts; null: for ever"
    )
    requester_may_approve: bool = Field(
        True, description="false: whoever started the run cannot approve its version; needs a login, as the next key does"
    )
    require_authenticated_reviewer: bool = Field(
        False, description="true: an approval counts only with a name that MLflow's login proves; needs `mlflow_review`"
    )

    @field_validator("model_name")
    @classmethod
    def _means_one_thing(cls, name: str) -> str:
        """The model server answers to model names, to adapter names (`<model>-v<version>`) and to `champion`."""
        if name == "champion" or re.search(r"-v[0-9]+$", name):
            raise ValueError("`champion`, and names that end like a version (`-v3`), mean something else to the model server")
        return name

    @model_validator(mode="after")
    def _names_come_from_a_login(self) -> "RegistryConfig":
        """A name typed into Prefect's form proves nothing, and under `auto` nobody is asked."""
        needs = [name for name, asked in self._needing_a_name().items() if asked]
        if needs and self.approval != "mlflow_review":
            raise ValueError(f"{' and '.join(needs)}: only `mlflow_review` knows who decided, and the policy is `{self.approval}`")
        return self

    def _needing_a_name(self) -> dict[str, bool]:
        return {
            "requester_may_approve: false": not self.requester_may_approve,
            "require_authenticated_reviewer: true": self.require_authenticated_reviewer,
        }
