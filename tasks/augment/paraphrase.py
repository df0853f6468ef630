"""The operator `paraphrase`: a language model says the same in other words. The run's own base does, in this process, or an endpoint.

The base draws every candidate with the request's own seed (`tasks.drawing`), and in fp32 (`tasks.augment.catalogue`), where the rounding of
a batch changes next to nothing: a candidate is the same whatever other requests there are. To an endpoint the seed is sent; what it makes
of it is its own affair.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline_config.augmentation import EndpointConfig, ParaphraseConfig
from tasks.augment.operators import Candidate, Request
from tasks.augment.replies import most_tokens, of_outcome, sift, to_candidate
from tasks.drawing import Sampling
from tasks.endpoints import Chat, Client, Reply, connection_to
from tasks.files import sha256_json
from tasks.generation import Engine
from tasks.manifest import BaseKey
from tasks.rows import Message

NAME = "paraphrase"
_TASK = (
    "You reword messages. You say the same in other words, in the same language and from the same point of view, and keep all names, "
    "numbers, code and placeholders. You never answer a message. You write the reworded message and nothing else.\n\n"
)
_ASKED = "Paraphrase this message: "
_SHOWN = (
    ("The display of my laptop stays black since the last update", "Ever since the latest update, my laptop's screen shows nothing"),
    ("can you send the invoice 4711 to <EMAIL> please?", "please could invoice 4711 be emailed to <EMAIL>?"),
    ("Who do I ask when I don't have access to the shared folder?", "Whom should I turn to if I can't get into the shared folder?"),
    ("I lost my ticket. What happens now?", "My ticket is gone. What do I have to do next?"),
    ("Is it possible to change the date of a booking?", "Can a booking be moved to another day?"),
    ("The parcel should have been here on Monday, but it isn't.", "My parcel was due on Monday and still has not arrived."),
)
"""Small models follow examples rather than rules, and in this process they cost nothing: what all prompts begin with is computed once."""
_BATCH = 32
"""Requests that are answered together, and lost together if the process is killed."""
_SEEDS = 1 << 31
"""Endpoints take seeds below this one."""


def chat_for(text: str) -> list[Message]:
    """The request in a model's words."""
    turns = [turn for asked, said in _SHOWN for turn in (("user", _ASKED + asked), ("assistant", said))]
    messages: list[Message] = [{"role": role, "content": content} for role, content in (*turns, ("user", _ASKED + text))]
    # Not every template knows a system turn.
    return [{"role": "user", "content": _TASK + messages[0]["content"]}, *messages[1:]]


class BaseParaphrase:
    """By the base that is going to be tuned. It is loaded when the first request comes.

    Args:
        base: what has to be the same for two bases to answer alike (`tasks.manifest.BaseIdentity.key`).
        open_engine: loads it.
    """

    name = NAME

    def __init__(self, config: ParaphraseConfig, base: BaseKey, open_engine: Callable[[], Engine]) -> None:
        self._config, self._open = config, functools.cache(open_engine)
        self.version = _version(config, {"base": base})

    def reword(self, requests: Sequence[Request]) -> Iterator[Candidate]:
        """Requests of about the same length are answered together, the short ones first."""
        fit, unfit = sift(requests)
        yield from unfit
        waiting = sorted(fit, key=lambda request: (len(request.text), request.key))
        for start in range(0, len(waiting), _BATCH):
            yield from self._answer(waiting[start : start + _BATCH])

    def _answer(self, requests: Sequence[Request]) -> Iterator[Candidate]:
        sampling = Sampling(self._config.temperature, self._config.top_p, [request.seed for request in requests])
        answers = self._open().answer(
            [chat_for(request.text) for request in requests], adapter=None, batch_size=_BATCH, sampling=sampling,
            max_new_tokens=max(most_tokens(request.text) for request in requests),
        )  # fmt: skip
        for request, answer in zip(requests, answers, strict=True):
            # Where a text ends for being too long must not depend on how long the others are.
            cut_off = answer.finish_reason == "length" or answer.completion_tokens > most_tokens(request.text)
            yield to_candidate(request, Reply(answer.text, cut_off))


class EndpointParaphrase:
    """By an endpoint."""

    name = NAME

    def __init__(self, config: ParaphraseConfig, endpoint: EndpointConfig) -> None:
        self._config, self._client = config, Client(connection_to(endpoint))
        self.version = _version(config, endpoint.model_dump(mode="json", include={"url", "model"}))

    def reword(self, requests: Sequence[Request]) -> Iterator[Candidate]:
        """Several at a time, as they come."""
        asked, unfit = sift(requests)
        yield from unfit
        for number, outcome in self._client.ask([self._chat(request) for request in asked], _whole):
            yield of_outcome(asked[number], outcome)

    def _chat(self, request: Request) -> Chat:
        config = self._config
        return Chat(chat_for(request.text), most_tokens(request.text), config.temperature, config.top_p, request.seed % _SEEDS)


def _version(config: ParaphraseConfig, model: Mapping[str, Any]) -> str:
    return sha256_json({**model, "chat": chat_for(""), "temperature": config.temperature, "top_p": config.top_p})


def _whole(reply: Reply) -> Reply:
    return reply
