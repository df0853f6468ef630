"""The engine in this process: one base in memory, and versions of every method beside it."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from pipeline_config.errors import ModelError
from pipeline_config.model import ModelConfig
from tasks.chat import decode, encode_prompt, encode_text
from tasks.decoding import Rules, Together, answer_alone, rules, why_not_together
from tasks.drawing import Sampling
from tasks.generation import Answer
from tasks.manifest import Quantization, read_manifest
from tasks.methods import Method, find_method
from tasks.methods.lora_products import exact_products
from tasks.models import LoadedBase, load_base, share_weights
from tasks.packed_weights import packed_weights
from tasks.rows import Message

_LOG = logging.getLogger(__name__)

Place = tuple[str, str | None]
"""Where a version's tree is kept: the kind of its method, and the version's name if it has a tree of its own."""


@dataclass(frozen=True)
class _Version:
    method: Method
    place: Place


def open_engine(config: ModelConfig, workspace: Path, quantization: Quantization | None = None) -> "TransformersEngine":
    """Loads a base and makes it answer."""
    return TransformersEngine(load_base(config, workspace, quantization))


class TransformersEngine:
    """`tasks.generation.Engine` on transformers, for versions of every method at once.

    PEFT takes one kind of adapter on a model and changes the model for it. So each kind has a module tree of its own, over the storage of
    the one base, and the base itself is never touched. Which version a tree answers as is state of the tree: one call runs at a time.
    """

    def __init__(self, base: LoadedBase) -> None:
        self._base = base
        self._trees: dict[Place, Any] = {}
        self._versions: dict[str, _Version] = {}
        self._takes: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        self._lock = threading.RLock()

    @property
    def base_digest(self) -> str:
        """Digest of the base that is in memory."""
        return self._base.identity.digest

    @property
    def base(self) -> LoadedBase:
        """The bare base."""
        return self._base

    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""
        return tuple(self._versions)

    def load_adapter(self, name: str, artifact: Path) -> None:
        """See :meth:`tasks.generation.Engine.load_adapter`."""
        manifest, own = read_manifest(artifact), self._base.identity
        if manifest.base.key != own.key:
            raise ModelError(
                f"the version belongs to base {manifest.base.digest[:12]} in {manifest.base.precision}", where=name,
                expected=f"base {own.digest[:12]} in {own.precision}", hint="one engine holds one base; open another for this one",
            )  # fmt: skip
        method = find_method(manifest.method)
        place = (method.kind, name if method.own_tree else None)
        with self._lock:
            if name in self._versions:
                raise ModelError("an adapter of this name is loaded already", where=name, expected="a new name", hint="unload it first")
            tree = self._trees[place] if place in self._trees else share_weights(self._base.model)
            self._trees[place] = method.load(tree, name, artifact).eval()
            self._versions[name] = _Version(method, place)

    def unload_adapter(self, name: str) -> None:
        """See :meth:`tasks.generation.Engine.unload_adapter`."""
        with self._lock:
            self._require(name)
            version = self._versions.pop(name)
            if any(other.place == version.place for other in self._versions.values()):
                version.method.unload(self._trees[version.place], name)
            else:
                del self._trees[version.place]

    @contextmanager
    def active(self, adapter: str | None) -> Iterator[Any]:
        """The module to call for an adapter's answers, or for the bare base's. Nobody else can use the engine meanwhile."""
        with self._lock:
            if adapter is None:
                yield self._base.model
                return
            self._require(adapter)
            version = self._versions[adapter]
            tree = self._trees[version.place]
            version.method.activate(tree, adapter)
            yield tree

    def answer(
        self,
        prompts: Sequence[Sequence[Message]],
        *,
        adapter: str | None,
        max_new_tokens: int,
        batch_size: int = 1,
        allowed: Sequence[str] | None = None,
        sampling: Sampling | None = None,
        on_answer: Callable[[int], None] | None = None,
    ) -> list[Answer]:
        """See :meth:`tasks.generation.Engine.answer`."""
        import torch

        tokenizer = self._base.tokenizer
        encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
        choices = None if allowed is None else [encode_text(tokenizer, text) for text in allowed]
        kept = rules(tokenizer.eos_token_id, max_new_tokens, choices, sampling)
        answers: dict[int, Answer] = {}
        with torch.inference_mode(), self.active(adapter) as model:
            for done in self._decode(model, encoded, kept, batch_size):
                answers |= {number: self._as_answer(encoded[number], ids) for number, ids in done.items()}
                if on_answer is not None:
                    on_answer(len(answers))
        return [answers[index] for index in range(len(encoded))]

    def _decode(self, model: Any, prompts: list[list[int]], kept: Rules, batch_size: int) -> Iterator[dict[int, list[int]]]:
        """Token ids of each answer by the number of its prompt, as they are done."""
        if batch_size > 1 and len(prompts) > 1 and self._takes_many(model, prompts, kept):
            with packed_weights(model), exact_products(model):
                yield from Together(model, prompts, kept, rows=batch_size).answers()
            return
        for number, prompt in enumerate(prompts):
            yield {number: answer_alone(model, prompt, kept, number)}

    def _takes_many(self, model: Any, prompts: list[list[int]], kept: Rules) -> bool:
        """Whether a tree answers many prompts together as it does alone; tried once for each tree."""
        if model not in self._takes:
            why = why_not_together(model, prompts, kept)
            if why is not None:
                _LOG.warning(
                    "prompts are answered one by one, which is slow: together, %s answers otherwise (%s)", type(model).__name__, why
                )
            self._takes[model] = why is None
        return self._takes[model]

    def _as_answer(self, prompt: list[int], ids: list[int]) -> Answer:
        stopped = bool(ids) and ids[-1] == self._base.tokenizer.eos_token_id
        return Answer(decode(self._base.tokenizer, ids), len(prompt), len(ids), "stop" if stopped else "length")

    def _require(self, name: str) -> None:
        if name not in self._versions:
            raise ModelError("no adapter has this name", where=name, expected=f"one of {', '.join(self._versions) or '(none)'}")
