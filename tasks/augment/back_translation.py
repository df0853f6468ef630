"""The operator `back_translation`: into another language and back, as Sennrich, Haddow, Birch (ACL 2016) make training pairs.

Any :class:`Translator` may do either way: Apertium, MarianMT or an endpoint. All of them give the same for the same text, so a request's
seed decides nothing here, and each text is translated once however often it is asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tasks.augment.operators import Candidate, Request
from tasks.augment.replies import most_tokens, read_reply, sift
from tasks.endpoints import Chat, Client, Outcome, Reply
from tasks.files import sha256_json
from tasks.languages import detect_languages

NAME = "back_translation"


@dataclass(frozen=True)
class Translation:
    """As :class:`tasks.augment.operators.Candidate`, without a key."""

    text: str | None
    reason: str | None = None
    final: bool = True
    cost: float = 0.0


class Translator(Protocol):
    """From one language into another."""

    @property
    def version(self) -> str:
        """A SHA-256 of everything that decides a translation besides the text."""
        ...

    @property
    def batch(self) -> int:
        """Texts that are best translated together. They are lost together if the process is killed."""
        ...

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """One translation for each text, in their order. Never raises for a text."""
        ...


def line_by_line(texts: Sequence[str], translate: Callable[[Sequence[str]], Sequence[Translation]]) -> list[Translation]:
    """Translates the lines of texts each alone, because translators take a line's end for a space or worse, and puts them together again.

    Args:
        translate: is given each distinct line once, without spaces around it.
    """
    lines = [text.splitlines() for text in texts]
    distinct = list(dict.fromkeys(line.strip() for text in lines for line in text if line.strip()))
    made = dict(zip(distinct, translate(distinct), strict=True)) if distinct else {}
    return [_put_together([made.get(line.strip(), Translation("")) for line in text]) for text in lines]


def _put_together(lines: Sequence[Translation]) -> Translation:
    texts = [line.text for line in lines if line.text is not None]
    return Translation("\n".join(texts)) if len(texts) == len(lines) else next(line for line in lines if line.text is None)


class BackTranslation:
    """There and back again.

    Args:
        source: ISO 639-1 code of the texts' language. A text that is clearly in another one is left alone: a translator would take it for
            its own language and make nonsense of it.
    """

    name = NAME

    def __init__(self, there: Translator, back: Translator, source: str) -> None:
        self._there, self._back, self._source = there, back, source
        self.version = sha256_json({"there": there.version, "back": back.version, "source": source})

    def reword(self, requests: Sequence[Request]) -> Iterator[Candidate]:
        """Batch by batch, in the order of the texts' lengths."""
        fit, unfit = sift(requests)
        yield from unfit
        asked: dict[str, list[Request]] = {}
        for request in fit:
            asked.setdefault(request.text, []).append(request)
        texts = sorted(asked, key=lambda text: (len(text), text))
        size = min(self._there.batch, self._back.batch)
        for start in range(0, len(texts), size):
            batch = texts[start : start + size]
            for text, made in zip(batch, self._round_trips(batch), strict=True):
                for request in asked[text]:
                    yield Candidate(request.key, made.text, made.reason, made.final, made.cost)
                    made = replace(made, cost=0.0)  # what was paid once is counted once

    def _round_trips(self, texts: Sequence[str]) -> list[Translation]:
        languages = detect_languages(texts)
        own = [text for text, language in zip(texts, languages, strict=True) if language in (None, self._source)]
        there = dict(zip(own, self._there.translate(own), strict=True)) if own else {}
        arrived = {text: made.text for text, made in there.items() if made.text is not None}
        back = dict(zip(arrived, self._back.translate(list(arrived.values())), strict=True)) if arrived else {}
        foreign = Translation(None, "another language")
        return [_joined(there.get(text, foreign), back.get(text)) for text in texts]


def _joined(there: Translation, back: Translation | None) -> Translation:
    return there if back is None else replace(back, cost=there.cost + back.cost)


class EndpointTranslator:
    """By a language model at an endpoint. Both ways may share a client, and with it a cap on what is spent.

    Args:
        model: what decides an answer besides the chat: where it is and how it is called.
        source: ISO 639-1 code of the language to translate from.
        target: of the language to translate into.
    """

    batch = 32

    def __init__(self, client: Client, model: Sequence[str], source: str, target: str) -> None:
        self._client = client
        self._task = (
            f"Translate the following message from the language with ISO 639-1 code {source!r} into the one with code {target!r}. Keep all "
            "names, numbers, code and placeholders. Do not answer it. Write the translation and nothing else.\n\nMessage: "
        )
        self.version = sha256_json({"model": list(model), "task": self._task})

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """Several at a time."""
        made: dict[int, Translation] = {}
        for number, outcome in self._client.ask([self._chat(text) for text in texts], lambda reply: reply):
            made[number] = _of_outcome(texts[number], outcome)
        return [made[number] for number in range(len(texts))]

    def _chat(self, text: str) -> Chat:
        # Another language may need twice the tokens of this one.
        return Chat([{"role": "user", "content": self._task + text}], 2 * most_tokens(text))


def _of_outcome(text: str, outcome: Outcome[Reply]) -> Translation:
    if outcome.value is not None:
        return Translation(*read_reply(text, outcome.value), cost=outcome.cost)
    failure = outcome.failure
    return Translation(
        None, failure.reason if failure is not None else None, final=failure is not None and failure.final, cost=outcome.cost
    )  # fmt: skip
