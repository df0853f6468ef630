"""`python -m deployments.server`: the model server on the loopback address."""

import uvicorn

from deployments.server.app import create_app
from pipeline_config.environment import LOOPBACK, Machine, read_machine
from pipeline_config.model import ModelConfig
from tasks.files import version_cache
from tasks.generation import Engine
from tasks.ledger import open_ledger
from tasks.manifest import BaseIdentity


def main() -> None:
    """Serves until it is told to stop."""
    machine = read_machine()
    cache = version_cache(machine.workspace)
    cache.mkdir(parents=True, exist_ok=True)
    app = create_app(lambda base: _open(base, machine), open_ledger(machine.workspace, machine.ledger_url), cache)
    uvicorn.run(app, host=LOOPBACK, port=machine.server_port, log_level="info")


def _open(base: BaseIdentity, machine: Machine) -> Engine:
    from tasks.engine import open_engine

    config = ModelConfig(name_or_path=base.name_or_path, revision=base.revision, dtype=base.dtype)
    return open_engine(config, machine.workspace, base.quantization)


if __name__ == "__main__":
    main()
