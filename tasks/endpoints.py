"""Chats with an OpenAI-compatible endpoint: several at a time, tried again where that can help, with bounded replies and a bounded bill.

An endpoint may do anything: refuse, stay silent, send a word a minute, send gigabytes, or something that is no chat completion. All of that
is a :class:`Failure` of the one chat, never an error, and an endpoint that gives nothing but failures is left alone after a while.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx

from pipeline_config.augmentation import EndpointConfig
from pipeline_config.environment import read_secret
from tasks.rows import Message

T = TypeVar("T")

UNREADABLE = "unreadable reply"
NOT_ASKED = "not asked after "
"""Begins the reason of chats that were not sent, because of what came of others."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0
"""Seconds before the second attempt, doubled for each further one."""
_LONGEST_ASKED_FOR = 60.0
"""Seconds that an endpoint may ask for in `Retry-After`; if it wants more, it gets these."""
_MOST_BYTES = 1 << 20
_AGAIN = frozenset({408, 409, 425, 429})
"""HTTP statuses besides 5xx that a later attempt may change."""
_THIS_CHAT = frozenset({400, 413, 422, 451})
"""Those that are about the chat; all others are about whoever asks, and then nothing more is asked."""
_IN_SUCCESSION = 20
"""After so many failures with no answer between them nothing more is asked: ten thousand time-outs would take days."""


@dataclass(frozen=True)
class Connection:
    """Whom to ask, and how patiently. `timeout` in seconds; prices for a million tokens, in the currency of `max_cost`."""

    url: str
    model: str
    api_key_variable: str | None
    timeout: float
    retries: int
    concurrency: int
    prompt_price: float = 0.0
    completion_price: float = 0.0
    max_cost: float | None = None


@dataclass(frozen=True)
class Chat:
    """One request. Without `top_p` and `seed` these keys are not sent."""

    messages: Sequence[Message]
    max_tokens: int
    temperature: float = 0.0
    top_p: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Reply:
    """What was answered. `cut_off`: it ended because `max_tokens` were reached."""

    text: str
    cut_off: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a chat has no answer.

    Attributes:
        reason: the same for all of a kind: `HTTP 429`, `time-out`, `no connection`, `reply too large`, `no chat completion`,
            `cost cap reached`, :data:`UNREADABLE`, or :data:`NOT_ASKED` and one of these.
        error: name of the exception, where it was one.
        final: the same chat would fail again, whenever it is sent.
    """

    reason: str
    error: str | None = None
    final: bool = False


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """A value or a failure; `cost` is what all attempts together were charged for."""

    value: T | None
    failure: Failure | None
    cost: float


def connection_to(config: EndpointConfig) -> Connection:
    """The connection that a configuration describes."""
    return Connection(
        url=config.url, model=config.model, api_key_variable=config.api_key_variable, timeout=config.timeout, retries=config.retries,
        concurrency=config.concurrency, prompt_price=config.cost_per_million_prompt_tokens,
        completion_price=config.cost_per_million_completion_tokens, max_cost=config.max_cost,
    )  # fmt: skip


class Client:
    """Asks one endpoint. It remembers, over all calls, what was spent and whether the endpoint was given up.

    Before a chat is sent, the most that it can cost is set aside, so that the cap holds with many under way. An endpoint that does not say
    how many tokens it used, or whose answer was lost, is taken to have charged that.
    """

    def __init__(self, connection: Connection, pause: Callable[[float], None] = time.sleep) -> None:
        self._connection, self._pause = connection, pause
        self._purse = _Purse(connection.max_cost)
        self._lock = threading.Lock()
        self._failed = 0
        self._given_up: str | None = None

    def ask(self, chats: Sequence[Chat], read: Callable[[Reply], T | None]) -> Iterator[tuple[int, Outcome[T]]]:
        """Each chat's number with what came of it, as soon as it is there.

        Args:
            read: makes a value of a reply; null if it says nothing of use and may be asked again.
        """
        headers = {"Accept-Encoding": "identity", **_authorization(self._connection.api_key_variable)}
        with httpx.Client(timeout=self._connection.timeout, headers=headers) as http:
            pool = ThreadPoolExecutor(self._connection.concurrency)
            try:
                numbers: dict[Future[Outcome[T]], int] = {}
                for number, chat in enumerate(chats):
                    numbers[pool.submit(self._ask, http, chat, read)] = number
                for done in as_completed(numbers):
                    yield numbers[done], done.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _ask(self, http: httpx.Client, chat: Chat, read: Callable[[Reply], T | None]) -> Outcome[T]:
        last, cost = _Attempt[T](), 0.0
        for attempt in range(self._connection.retries + 1):
            if self._given_up is not None:
                return Outcome(None, last.failure or Failure(f"{NOT_ASKED}{self._given_up}"), cost)
            if attempt:
                self._pause(max(last.wait, min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)))
            most = self._price(_most_prompt_tokens(chat), chat.max_tokens)
            if not self._purse.set_aside(most):
                return Outcome(None, last.failure or Failure("cost cap reached"), cost)
            last = self._attempt(http, chat, read, most)
            self._purse.pay(most, last.charged)
            cost += last.charged
            if last.value is not None or not last.again:
                break
        return Outcome(last.value, last.failure, cost)

    def _attempt(self, http: httpx.Client, chat: Chat, read: Callable[[Reply], T | None], most: float) -> "_Attempt[T]":
        try:
            reply, used = self._post(http, chat)
        # An endpoint that does not speak HTTP, or no JSON, or another JSON: whatever it does has to be counted, not to end the run.
        except (httpx.HTTPError, httpx.InvalidURL, _Refused, _TooLarge, ValueError, LookupError, TypeError, RecursionError) as error:
            failure = _failure_of(error)
            again = self._note_failure(error, failure)
            return _Attempt(None, failure, 0.0 if isinstance(error, _UNCHARGED) else most, getattr(error, "wait", 0.0), again)
        self._failed = 0
        charged = most if used is None else self._price(*used)
        value = read(reply)
        return _Attempt(value, None if value is not None else Failure(UNREADABLE), charged)

    def _note_failure(self, error: Exception, failure: Failure) -> bool:
        """Whether another attempt may help."""
        hopeless = isinstance(error, _Refused) and not (error.status in _AGAIN | _THIS_CHAT or error.status >= 500)
        with self._lock:
            self._failed += 1
            if hopeless or self._failed >= _IN_SUCCESSION:
                self._given_up = self._given_up or failure.reason
        return not hopeless and not failure.final

    def _post(self, http: httpx.Client, chat: Chat) -> tuple[Reply, tuple[int, int] | None]:
        """The reply, with the tokens of prompt and completion that the endpoint says it took."""
        body: dict[str, Any] = {
            "model": self._connection.model, "messages": list(chat.messages),
            "temperature": chat.temperature, "max_tokens": chat.max_tokens,
        }  # fmt: skip
        body |= {key: value for key, value in (("top_p", chat.top_p), ("seed", chat.seed)) if value is not None}
        deadline = time.monotonic() + self._connection.timeout
        with http.stream("POST", f"{self._connection.url.rstrip('/')}/chat/completions", json=body) as response:
            if not response.is_success:
                raise _Refused(response.status_code, _asked_for(response.headers))
            said = json.loads(_read(response, deadline))
        choice = said["choices"][0]
        text = choice["message"]["content"]
        if text is not None and not isinstance(text, str):
            raise TypeError("the content is no text")
        text = (text or "").encode().decode()  # halves of surrogate pairs, which JSON may hold and no file, are refused here
        return Reply(text, choice.get("finish_reason") == "length"), _used(said.get("usage"))

    def _price(self, prompt_tokens: int, completion_tokens: int) -> float:
        at = self._connection
        return (prompt_tokens * at.prompt_price + completion_tokens * at.completion_price) / 1e6


@dataclass(frozen=True)
class _Attempt(Generic[T]):
    """What came of one request; `wait` are the seconds that the endpoint wants to be left alone before the next one."""

    value: T | None = None
    failure: Failure | None = None
    charged: float = 0.0
    wait: float = 0.0
    again: bool = True


class _Refused(Exception):
    """Another HTTP status than 2xx; `wait` are the seconds that the endpoint asks to be left alone."""

    def __init__(self, status: int, wait: float) -> None:
        super().__init__(status)
        self.status, self.wait = status, wait


class _TooLarge(Exception):
    pass


_UNCHARGED = (_Refused, httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)
"""After these nothing was generated, so nothing is charged."""


class _Purse:
    """What was spent, and what chats under way may still cost."""

    def __init__(self, cap: float | None) -> None:
        self._cap, self._spent, self._aside, self._under_way = cap, 0.0, 0.0, 0
        self._changed = threading.Condition()

    def set_aside(self, most: float) -> bool:
        """Waits for chats under way if they may leave enough; false if there is not enough left."""
        if self._cap is None:
            return True
        with self._changed:
            while self._spent + self._aside + most > self._cap:
                if not self._under_way:
                    return False
                self._changed.wait()
            self._aside += most
            self._under_way += 1
        return True

    def pay(self, most: float, charged: float) -> None:
        """Gives back what was set aside for a chat, and spends what it did cost."""
        with self._changed:
            self._spent += charged
            self._under_way -= 1
            self._aside = self._aside - most if self._under_way else 0.0  # a sum of floats need not come back to nothing by itself
            self._changed.notify_all()


def _authorization(variable: str | None) -> Mapping[str, str]:
    key = read_secret(variable) if variable is not None else None
    return {"Authorization": f"Bearer {key.strip()}"} if key else {}


def _read(response: httpx.Response, deadline: float) -> bytes:
    """The body, if it comes in time: httpx's own time-outs begin anew with every byte."""
    parts, size = [], 0
    for part in response.iter_raw():
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            raise _TooLarge
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the whole reply did not come in time")
    return b"".join(parts)


def _asked_for(headers: httpx.Headers) -> float:
    """Seconds in `Retry-After`; a date there is not read."""
    asked = headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_ASKED_FOR) if asked.isascii() and asked.isdigit() else 0.0


def _failure_of(error: Exception) -> Failure:
    name = type(error).__name__
    if isinstance(error, _Refused):
        return Failure(f"HTTP {error.status}", final=error.status in _THIS_CHAT)
    if isinstance(error, _TooLarge):
        return Failure("reply too large", "TooLarge", final=True)
    if isinstance(error, httpx.TimeoutException):
        return Failure("time-out", name)
    return Failure("no connection" if isinstance(error, httpx.HTTPError | httpx.InvalidURL) else "no chat completion", name)


def _used(usage: object) -> tuple[int, int] | None:
    """Tokens of prompt and completion, if both are numbers of tokens."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(prompt) is not int or type(completion) is not int or min(prompt, completion) < 0:
        return None
    return prompt, completion


def _most_prompt_tokens(chat: Chat) -> int:
    """No tokenizer makes more tokens than bytes; templates add a few for each turn."""
    return sum(len(message["content"].encode(errors="replace")) + 16 for message in chat.messages)
