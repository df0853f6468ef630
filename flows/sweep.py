"""A deployment of its own, each quarter of an hour: what the watching service does, once, should that service be down."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.starting import PromotionRuns
from tasks.registry.task import look_for_decisions

_SECONDS_BETWEEN_LOOKS = 3.0


@flow(name="sweep", persist_result=False)
def sweep() -> State:
    """Attends to every decision that stands on a version's page, and makes the alias `challenger` name what waits."""
    decisions = look_for_decisions(PromotionRuns(), _SECONDS_BETWEEN_LOOKS)
    return Completed(name="Swept", message=f"{decisions} decisions stand in the registry, each attended to")
