"""What every benchmark writes: its figures, the bars that they have to reach, and the machine that they were measured on."""

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict

from tasks.revision import code_revision

RESULTS = Path(__file__).parent / "results"

_GIB = 2**30


class Bar(NamedTuple):
    """What a figure has to be at most or at least."""

    figure: str
    op: Literal["<=", ">="]
    bound: float


class Judged(TypedDict):
    """A bar with the figure's value. One that was not measured has null, and does not hold."""

    figure: str
    op: str
    bound: float
    value: float | None
    holds: bool


class Peer(TypedDict):
    """What was measured against: its version, and its own figures."""

    version: str
    figures: dict[str, float]


class Result(TypedDict):
    """The whole file, `benchmarks/results/NAME.json`."""

    benchmark: str
    revision: str | None
    when: str
    machine: dict[str, str | float]
    figures: dict[str, float]
    peers: dict[str, Peer]
    bars: list[Judged]
    notes: list[str]


def judge(bars: Sequence[Bar], figures: Mapping[str, float]) -> list[Judged]:
    """Compares each bar with its figure. NaN is no figure."""
    judged: list[Judged] = []
    for figure, op, bound in bars:
        value = _number(figures.get(figure))
        holds = value is not None and (value <= bound if op == "<=" else value >= bound)
        judged.append({"figure": figure, "op": op, "bound": bound, "value": value, "holds": holds})
    return judged


def result_of(
    benchmark: str, figures: Mapping[str, float], bars: Sequence[Bar], *, peers: Mapping[str, Peer], notes: Sequence[str]
) -> Result:
    """The result of a benchmark that ended now, on this machine and code."""
    return {
        "benchmark": benchmark,
        "revision": code_revision(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "figures": _rounded(figures),
        "peers": {name: {"version": peer["version"], "figures": _rounded(peer["figures"])} for name, peer in peers.items()},
        "bars": judge(bars, figures),
        "notes": list(notes),
    }


def write_result(result: Result, folder: Path = RESULTS) -> Path:
    """Writes `NAME.json`, good or bad."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['benchmark']}.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def exit_code(result: Result) -> int:
    """0 if every bar holds, otherwise 1."""
    return 0 if all(bar["holds"] for bar in result["bars"]) else 1


def as_lines(result: Result) -> list[str]:
    """The bars for a terminal, one a line."""
    return [
        f"{'holds' if bar['holds'] else 'FAILS'}  {bar['figure']}: "
        f"{'not measured' if bar['value'] is None else format(bar['value'], '.5g')} (bar: {bar['op']} {bar['bound']:g})"
        for bar in result["bars"]
    ]


def describe_machine() -> dict[str, str | float]:
    """Processor, cores that this process may use, memory in GiB, system and Python."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions_of(*packages: str) -> str:
    """`name version` of each, as installed."""
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """Five digits of each figure that was measured."""
    return {name: float(f"{value:.5g}") for name, value in figures.items() if _number(value) is not None}


def _number(value: float | None) -> float | None:
    """Null for what JSON has no word for."""
    return value if value is not None and math.isfinite(value) else None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
