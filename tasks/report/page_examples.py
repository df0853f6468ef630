"""Test rows side by side: what the tuned model won and lost against the one before it, and what neither had right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from tasks.report.material import Answers
from tasks.rows import Message, spread_evenly

Mark = Literal["right", "wrong", "better", "worse", "none"]

PER_GROUP = 5
LONGEST = 600
"""Characters of a prompt or an answer that are shown."""
_SAME = 1e-9


@dataclass(frozen=True)
class Said:
    """One contender's answer, masked, with what became of it."""

    who: str
    text: str
    mark: Mark
    score: float | None


@dataclass(frozen=True)
class Shown:
    """One test row, masked: the last turn before the answer, how many turns came before it, the expected answer, and all others."""

    row_id: str
    prompt: str
    earlier_turns: int
    expected: str
    said: tuple[Said, ...]


@dataclass(frozen=True)
class Group:
    """Rows of one kind: how many there are, and some of them."""

    key: Literal["won", "lost", "wrong"]
    count: int
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Comparison:
    """How often the tuned model and one rival had a row right: rows that the rival was trained on are left out."""

    rival: str
    both: int
    won: int
    lost: int
    neither: int


def compare(answers: Answers) -> list[Comparison]:
    """The tuned model against each of the others; empty where answers are graded and not right or wrong."""
    if not answers.exact:
        return []
    compared = []
    for rival in (who for who in answers.contenders if who != "tuned"):
        frame = _unseen(answers, rival)
        tuned, other = (frame[f"{who}.{answers.metric}"] == 1.0 for who in ("tuned", rival))
        counts = [int(kind.sum()) for kind in (tuned & other, tuned & ~other, ~tuned & other, ~tuned & ~other)]
        compared.append(Comparison(rival, *counts))
    return compared


def examples_of(answers: Answers, prompts: Mapping[str, Sequence[Message]]) -> list[Group]:
    """Some rows of each kind, with personal data and secrets masked. Rows that are not in `prompts`, the test rows, are left out.

    The tuned model is held against the champion where one answered, else against the base. Right and wrong answers are taken at equal
    distances through the test set; graded ones where the difference, or the failure, is greatest.
    """
    rival = "champion" if "champion" in answers.contenders else "base"
    frame = _unseen(answers, rival).filter(pl.col("row_id").is_in(list(prompts)))
    tuned, other = (pl.col(f"{who}.{answers.metric}") for who in ("tuned", rival))
    if answers.exact:
        kinds = {"won": (tuned == 1) & (other == 0), "lost": (tuned == 0) & (other == 1), "wrong": (tuned == 0) & (other == 0)}
        order = {}
    else:
        low = float(frame.select(tuned.quantile(0.25)).item() or 0.0)
        kinds = {"won": tuned > other + _SAME, "lost": tuned < other - _SAME, "wrong": (tuned <= low) & (other <= low)}
        order = {"won": other - tuned, "lost": tuned - other, "wrong": tuned + other}
    groups = []
    for key, condition in kinds.items():
        chosen = frame.filter(condition)
        picked = chosen.sort(order[key]).head(PER_GROUP) if key in order else chosen[spread_evenly(PER_GROUP, chosen.height)]
        shown = tuple(_shown(row, answers, prompts[row["row_id"]]) for row in picked.iter_rows(named=True))
        groups.append(Group(key, chosen.height, shown))  # type: ignore[arg-type]
    return groups


def _unseen(answers: Answers, rival: str) -> pl.DataFrame:
    if rival == "champion" and "champion_saw" in answers.frame.columns:
        return answers.frame.filter(~pl.col("champion_saw"))
    return answers.frame


def _shown(row: Mapping[str, object], answers: Answers, prompt: Sequence[Message]) -> Shown:
    from tasks.masking import mask_text  # it brings detect-secrets
    from tasks.screening import KINDS

    def masked(text: object) -> str:
        return mask_text(str(text or ""), KINDS).text

    scores = {who: _number(row.get(f"{who}.{answers.metric}")) for who in answers.contenders}
    said = tuple(Said(who, masked(row[who]), _mark(who, scores, answers.exact), scores[who]) for who in answers.contenders)
    return Shown(str(row["row_id"]), masked(prompt[-1]["content"]) if prompt else "", _earlier(prompt), masked(row["expected"]), said)


def _earlier(prompt: Sequence[Message]) -> int:
    return max(0, sum(message["role"] != "system" for message in prompt) - 1)


def _mark(who: str, scores: Mapping[str, float | None], exact: bool) -> Mark:
    own = scores[who]
    if own is None:
        return "none"
    if exact:
        return "right" if own == 1 else "wrong"
    others = [score for name, score in scores.items() if name != who and score is not None]
    return "none" if not others else "better" if own > max(others) else "worse" if own < min(others) else "none"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
