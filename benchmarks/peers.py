"""The environments of the peers: `make peers` makes each under `peers` in the workspace, from the versions in `benchmarks/peers/NAME.txt`.

What is there already, of these versions, is left alone. The lists are complete and installed without looking for dependencies, so that
torchvision, torchaudio and torchcodec stay out: their usual wheels are built for CUDA and break the import of everything else beside a CPU
torch.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline_config.environment import read_machine
from pipeline_config.errors import ServiceError
from tasks.files import sha256_json

_LISTS = Path(__file__).parent / "peers"
_READY = ".ready"


class Recipe(NamedTuple):
    """What a peer needs besides its packages.

    `check` is Python that has to run in its environment; `stubs` are empty modules for what it imports and never uses; `environment` are
    variables that it needs to run.
    """

    check: str
    stubs: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}


PEERS: dict[str, Recipe] = {
    "trl": Recipe("from trl import SFTConfig, SFTTrainer"),
    "llamafactory": Recipe(
        "from llamafactory.train.tuner import run_exp", stubs=("torchaudio",), environment={"DISABLE_VERSION_CHECK": "1"}
    ),
    "vllm": Recipe("from vllm import LLM, SamplingParams", environment={"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_NO_USAGE_STATS": "1"}),
}  # fmt: skip


def folder_of(name: str) -> Path:
    """Where a peer's environment lies."""
    return read_machine().workspace / "peers" / name


def python_of(name: str) -> Path:
    """The interpreter of a peer's environment.

    Raises:
        ServiceError: the environment is not there, or has other versions than its list.
    """
    if not is_ready(name):
        raise ServiceError(
            "the peer's environment is not there, or not of these versions", where=name, expected="an environment", hint="make peers"
        )
    return _python(folder_of(name))


def is_ready(name: str) -> bool:
    """Whether the environment was made to its end, from the list and the recipe as they are now."""
    marker = folder_of(name) / _READY
    return marker.is_file() and marker.read_text() == _digest(name)


def make(name: str) -> None:
    """Makes one environment, from the beginning, and tries it.

    Raises:
        ServiceError: a package cannot be installed, or the peer cannot be imported.
    """
    folder, recipe = folder_of(name), PEERS[name]
    _say(f"peers: {name}: {len(_lines(name))} packages into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    _call(name, [str(_python(folder)), "-m", "pip", "install", "-qq", "--no-deps", "--requirement", str(_list(name))])
    for module in recipe.stubs:
        _say(f"peers: {name}: an empty module for {module}, which it imports and does not use")
        _stub(folder, module)
    _call(name, [str(_python(folder)), "-c", recipe.check], recipe.environment)
    (folder / _READY).write_text(_digest(name))


def _stub(folder: Path, module: str) -> None:
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / module).mkdir(exist_ok=True)
    (packages / module / "__init__.py").write_text("")


def _call(name: str, command: Sequence[str], environment: Mapping[str, str] = {}) -> None:
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise ServiceError(
            f"`{' '.join(command[1:4])}` ended with exit code {done.returncode}; its last lines were:\n{tail}", where=name,
            expected="an environment in which the peer can be imported", hint="PIP_INDEX_URL and PIP_EXTRA_INDEX_URL are honoured",
        )  # fmt: skip


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _list(name: str) -> Path:
    return _LISTS / f"{name}.txt"


def _lines(name: str) -> list[str]:
    return [line for line in _list(name).read_text().splitlines() if "==" in line and not line.startswith("#")]


def _digest(name: str) -> str:
    recipe = PEERS[name]
    return sha256_json([_lines(name), recipe.check, recipe.stubs, dict(recipe.environment), sys.version])


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: makes what is missing; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Makes the environments of the peers.")
    parser.add_argument("names", nargs="*", default=list(PEERS), metavar="NAME", help=f"which: {', '.join(PEERS)}")
    for name in parser.parse_args(arguments).names:
        if is_ready(name):
            _say(f"peers: {name}: is there")
            continue
        began = time.monotonic()
        try:
            make(name)
        except ServiceError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        _say(f"peers: {name}: ready after {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
