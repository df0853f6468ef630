"""The summary as a person reads it: a few short tables and the lines to go on with."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

_HEADLINES = {
    "passed": ("green", "passed: {adapter} is live"),
    "gate_failed": ("red", "a gate failed: {adapter} was registered, but neither promoted nor deployed"),
    "held": ("yellow", "held: not enough evidence for {adapter}; neither promoted nor deployed"),
    "awaiting_approval": ("yellow", "passed, and {adapter} awaits approval"),
    "rejected": ("red", "passed, and {adapter} was rejected by a reviewer"),
    "error": ("red", "the run ended with an error"),
    "interrupted": ("yellow", "interrupted; the same command goes on"),
}
_COLOURS = {"pass": "green", "fail": "red", "hold": "yellow", "not_applicable": "dim"}
_CONTENDERS = {"base": "base", "tuned": "tuned", "champion": "champion before", "tfidf": "TF-IDF + logistic regression"}


def render(summary: Mapping[str, Any]) -> RenderableType:
    """Everything worth a look after a run. Print it with `soft_wrap=True`: a line break would spoil the curl line and the URLs."""
    colour, headline = _HEADLINES[summary["outcome"]]
    adapter = summary["model"]["adapter"] if summary["model"] else "the model"
    parts: list[RenderableType] = [Text(headline.format(adapter=adapter), style=f"bold {colour}")]
    if summary["error"]:
        parts.append(Text(summary["error"], style="red"))
    if summary["test_rows"]:
        parts.append(_figures(summary))
    if summary["gates"]:
        parts.append(_gates(summary["gates"]))
    parts.append(_stages(summary["stages"]))
    parts += [Text(f"note: {note}") for note in summary["notes"]]
    if summary["report"]:
        parts.append(Text(f"report: {summary['report']}"))
    parts += [Text(f"{name.replace('_', ' ')}: {url}") for name, url in summary["urls"].items() if url]
    if summary["endpoint"]:
        parts.append(Text(curl_line(summary["endpoint"], summary["example"] or "Hello")))
    return Group(*parts)


def curl_line(endpoint: Mapping[str, str], message: str) -> str:
    """A command that asks the endpoint, safe to paste into a shell whatever the message holds."""
    body = json.dumps({"model": endpoint["model"], "messages": [{"role": "user", "content": message}]}, ensure_ascii=False)
    return f"curl -s {shlex.quote(endpoint['url'])} -H 'Content-Type: application/json' -d {shlex.quote(body)}"


def _figures(summary: Mapping[str, Any]) -> Table:
    table = Table(title=f"{summary['test_rows']} test rows", title_justify="left")
    measured = {key: figures for key, figures in summary["metrics"].items() if any(value is not None for value in figures.values())}
    shown = {key: label for key, label in _CONTENDERS.items() if key in measured}
    table.add_column("")
    for label in shown.values():
        table.add_column(label, justify="right")
    for name in dict.fromkeys(name for figures in measured.values() for name in figures):
        values = [measured[key].get(name) for key in shown]
        if any(value is not None for value in values):
            table.add_row(name, *map(_number, values))
    return table


def _gates(gates: list[Mapping[str, Any]]) -> Table:
    table = Table(title="gates", title_justify="left")
    for column in ("gate", "outcome", "why"):
        table.add_column(column, overflow="fold")
    for gate in gates:
        outcome = gate["outcome"].replace("_", " ")
        table.add_row(gate["name"], f"[{_COLOURS[gate['outcome']]}]{outcome}[/]", escape(gate["reason"]))
    return table


def _stages(stages: Mapping[str, Any]) -> Table:
    table = Table(title="stages", title_justify="left")
    for column in ("stage", "status", "seconds"):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    for name, stage in stages.items():
        table.add_row(name, stage["status"], f"{stage['seconds']:.1f}")
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
