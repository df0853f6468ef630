"""The service that watches for reviewers' decisions in MLflow and starts the promotion deployment: `python -m deployments.watcher`.

It asks the registry each two seconds. Each look leaves its time and what was wrong in a file, by which `tunegate status` knows how it is.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from deployments.services.health import watcher_mark
from pipeline_config.environment import read_machine, read_secret
from pipeline_config.errors import TunegateError
from tasks.files import write_json
from tasks.ledger import open_ledger
from tasks.registry.stamps import STAMP_KEY
from tasks.registry.watching import Look, Watch, look

SECONDS_BETWEEN_LOOKS = 2.0

_SECONDS_BETWEEN_MARKS = 10.0
_log = logging.getLogger(__name__)


def main() -> None:
    """Watches until the process is ended."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    machine = read_machine()
    machine.apply()
    # Both read their settings when they are imported, so the machine must have been applied by then.
    from flows.starting import PromotionRuns
    from tasks.registry.mlflow_registry import MlflowRegistry

    watch = Watch(
        MlflowRegistry(machine.mlflow_url), open_ledger(machine.workspace, machine.ledger_url), PromotionRuns(), read_secret(STAMP_KEY)
    )
    _log.info("watching %s", machine.mlflow_url)
    watch_on(watch, watcher_mark(machine), lambda: datetime.now(UTC), time.sleep)


def watch_on(watch: Watch, mark: Path, clock: Callable[[], datetime], sleep: Callable[[float], object]) -> None:
    """Looks again and again. A look that fails as a whole is marked, and the next one begins anew.

    A decision that could not be attended to is logged and tried again. It does not make the service unwell: a deployment that is not
    registered yet is registered after the services are up.

    Args:
        mark: file that receives the time of the last look, in seconds since the epoch, and what was wrong with it.
    """
    last, marked = Look({}), (float("-inf"), "")
    while True:
        now, fault = clock(), ""
        try:
            last = look(watch, now, last.seen)
        except TunegateError as error:
            _log.warning("%s", error)
            last, fault = Look({}), error.what
        if fault != marked[1] or now.timestamp() - marked[0] >= _SECONDS_BETWEEN_MARKS:
            marked = (now.timestamp(), fault)
            write_json(mark, {"at": marked[0], "fault": fault})
        sleep(SECONDS_BETWEEN_LOOKS)


if __name__ == "__main__":
    main()
