"""What happens when a version goes live."""

from pydantic import Field

from pipeline_config.base import Section


class DeploymentConfig(Section):
    """Proof asked of the model server after a switch."""

    parity_rows: int = Field(20, ge=1, description="test rows sent to the endpoint; its answers must equal the stored predictions")
    request_timeout: float = Field(60.0, gt=0, description="seconds to wait for one answer of the model server")
