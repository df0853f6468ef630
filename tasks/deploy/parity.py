"""Proof of a switch: the endpoint gives the very answers that the version was judged by."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from pipeline_config.errors import RolloutError, ServiceError
from tasks.artifacts import Record
from tasks.deploy.client import ModelServer
from tasks.rows import Message


class ParityRow(Record):
    """A test prompt, and the answer that was judged."""

    messages: tuple[Message, ...]
    answer: str


def read_parity(path: Path, count: int) -> list[ParityRow]:
    """Reads at most `count` rows.

    Raises:
        RolloutError: there are none, or the file is damaged.
    """
    try:
        # Not `splitlines`: it also splits at characters that JSON leaves as they are, such as U+2028.
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line]
        rows = [ParityRow.model_validate(json.loads(line)) for line in lines[:count]]
    except (OSError, ValueError, ValidationError) as error:
        raise RolloutError(f"the version's test answers cannot be read: {error}", where=str(path)) from error
    if not rows:
        raise RolloutError("the version has no test answers to compare with", where=str(path), expected="at least one row")
    return rows


def prove_parity(server: ModelServer, model: str, adapter_name: str, rows: Sequence[ParityRow]) -> None:
    """Asks the endpoint for every row's answer.

    Args:
        model: what a caller asks for; the registered model's name.
        adapter_name: which version has to answer.

    Raises:
        RolloutError: another version answers, an answer differs, or the server does not answer.
    """
    try:
        faults = list(_faults(server, model, adapter_name, rows))
    except ServiceError as error:
        raise RolloutError(f"the endpoint does not answer: {error.what}", where=error.where, hint=error.hint) from error
    if faults:
        raise RolloutError(
            f"{len(faults)} of {len(rows)} answers differ; the first: {faults[0]}", where=adapter_name,
            expected="the answers that were judged", hint="the server's base or software is another one than evaluation's",
        )  # fmt: skip


def _faults(server: ModelServer, model: str, adapter_name: str, rows: Sequence[ParityRow]) -> Iterator[str]:
    for number, row in enumerate(rows, start=1):
        reply = server.chat(model, row.messages)
        if reply.model != adapter_name:
            yield f"row {number} was answered by {reply.model}"
        elif reply.text != row.answer:
            yield f"row {number}: {reply.text!r} for {row.answer!r}"
