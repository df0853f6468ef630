"""What a language model wrote in place of a text: the text alone, or why it cannot be used."""

import re
from collections.abc import Sequence

import polars as pl

from tasks.augment.operators import Candidate, Request
from tasks.endpoints import Outcome, Reply
from tasks.refusal_patterns import declining

LONGEST = 4_000
"""Characters; nobody rewords a longer text well in one go."""

_LEAD = re.compile(
    r"(?:(?:sure|certainly|of course|okay|ok|absolutely|yes)\b[,.!:]?\s*)?"
    r"(?:(?:here(?:'s| is| are)|this is|i(?:'d| would) say|you (?:could|can) say)\b[^:\n]{0,80}|"
    r"(?:[^:\n]{0,30}\b)?(?:paraphras|rephras|reword|rewrit|translat)[^:\n]{0,40}|"
    r"(?:new |rewritten )?(?:message|text|version|wording|output))"
    r"[*\"]*:[*\"]*\s*",
    re.IGNORECASE,
)
"""What a model says before it says what it was asked for."""
_QUOTES = {'"': '"', "'": "'", "“": "”", "«": "»", "`": "`", "„": "“"}


def most_tokens(text: str) -> int:
    """How long another wording may become. A token of English has about four bytes, so this is twice the text's length."""
    return 16 + len(text.encode()) // 2


def sift(requests: Sequence[Request]) -> tuple[list[Request], list[Candidate]]:
    """Those of which a model can be asked for another wording, and what becomes of the rest."""
    reasons = ["empty text" if not r.text.strip() else "too long" if len(r.text) > LONGEST else None for r in requests]
    fit = [request for request, reason in zip(requests, reasons, strict=True) if reason is None]
    return fit, [Candidate(r.key, None, reason) for r, reason in zip(requests, reasons, strict=True) if reason is not None]


def to_candidate(request: Request, reply: Reply, cost: float = 0.0) -> Candidate:
    """The candidate in a reply. That it says the same is for others to judge, but not that it says anything to the point at all."""
    text, reason = read_reply(request.text, reply)
    return Candidate(request.key, text, reason, cost=cost)


def of_outcome(request: Request, outcome: Outcome[Reply]) -> Candidate:
    """The same for an endpoint, which may have failed."""
    if outcome.value is not None:
        return to_candidate(request, outcome.value, outcome.cost)
    failure = outcome.failure
    return Candidate(
        request.key, None, failure.reason if failure else None, final=failure is not None and failure.final, cost=outcome.cost
    )  # fmt: skip


def read_reply(asked: str, reply: Reply) -> tuple[str | None, str | None]:
    """The other wording of a text, or the reason why there is none: `cut off`, `empty`, `refused` or `more than asked for`.

    A sentence that announces it ("Here is a paraphrase:") and quotation marks around it are taken away, unless the text has them as well.
    """
    if reply.cut_off:
        return None, "cut off"
    said = reply.text.strip()
    lead = _LEAD.match(said)
    if lead is not None and _LEAD.match(asked) is None:
        said = said[lead.end() :].strip()
    said = _unquoted(said, asked)
    if not said:
        return None, "empty"
    if _declines(said) and not _declines(asked):
        return None, "refused"
    # Several suggestions, or a remark behind the only one. A list of them has lines that the text has not.
    if len(said.splitlines()) > len(asked.strip().splitlines()):
        return None, "more than asked for"
    return said, None


def _unquoted(said: str, asked: str) -> str:
    closing = _QUOTES.get(said[:1])
    wrapped = len(said) > 1 and closing is not None and said.endswith(closing) and said.count(closing) <= 2
    return said[1:-1].strip() if wrapped and asked.strip()[:1] not in _QUOTES else said


def _declines(text: str) -> bool:
    return bool(declining(pl.Series([text])).item())
