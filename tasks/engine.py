"""The engine in this process: greedy decoding with the prompts' common prefix computed once, rows sorted by length."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_config.errors import ModelError
from pipeline_config.model import ModelConfig
from tasks.batching import common_prefix_length
from tasks.chat import decode, encode_prompt, encode_text
from tasks.generation import Answer
from tasks.manifest import Quantization, read_manifest
from tasks.methods import Method, find_method
from tasks.models import LoadedBase, load_base, share_weights
from tasks.rows import Message

if TYPE_CHECKING:
    import torch

Trie = dict[int, "Trie"]
"""The token sequences that may be answered, as nested mappings."""


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
        on_answer: Callable[[int], None] | None = None,
    ) -> list[Answer]:
        """See :meth:`tasks.generation.Engine.answer`."""
        import torch

        tokenizer = self._base.tokenizer
        encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
        trie = _trie([encode_text(tokenizer, text) for text in allowed]) if allowed is not None else None
        answers: dict[int, Answer] = {}
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
        with torch.inference_mode(), self.active(adapter) as model:
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                generated = self._greedy(model, [encoded[index] for index in chosen], max_new_tokens, trie)
                answers |= {i: self._as_answer(encoded[i], ids) for i, ids in zip(chosen, generated, strict=True)}
                if on_answer is not None:
                    on_answer(len(answers))
        return [answers[index] for index in range(len(encoded))]

    def _greedy(self, model: Any, prompts: list[list[int]], limit: int, trie: Trie | None) -> list[list[int]]:
        """Token ids of each answer, the end-of-turn token included where it came."""
        import torch

        eos, pad = self._base.tokenizer.eos_token_id, self._base.tokenizer.pad_token_id or 0
        logits, cache, mask, positions = _prefill(model, prompts, pad)
        produced: list[list[int]] = [[] for _ in prompts]
        nodes: list[Trie | None] = [trie] * len(prompts)
        for _ in range(limit if trie is None else max(limit, _depth(trie))):
            chosen = _choose(logits, nodes, eos)
            for row, token in enumerate(chosen):
                if not produced[row] or produced[row][-1] != eos:
                    produced[row].append(token)
                    node = nodes[row]
                    nodes[row] = node.get(token) if node is not None else None
            if all(ids[-1] == eos for ids in produced):
                break
            positions = positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
            step = torch.tensor(chosen, device=mask.device)[:, None]
            output = model(step, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True)
            logits, cache = output.logits[:, -1].float(), output.past_key_values
        return produced

    def _as_answer(self, prompt: list[int], ids: list[int]) -> Answer:
        stopped = bool(ids) and ids[-1] == self._base.tokenizer.eos_token_id
        return Answer(decode(self._base.tokenizer, ids), len(prompt), len(ids), "stop" if stopped else "length")

    def _require(self, name: str) -> None:
        if name not in self._versions:
            raise ModelError("no adapter has this name", where=name, expected=f"one of {', '.join(self._versions) or '(none)'}")


def _prefill(model: Any, prompts: list[list[int]], pad: int) -> tuple["torch.Tensor", Any, "torch.Tensor", "torch.Tensor"]:
    """Logits after each prompt, cache, mask and positions. What all prompts start with is computed once and its cache shared."""
    import torch

    shared = common_prefix_length(prompts) if len(prompts) > 1 else 0
    device, rows = model.device, len(prompts)
    # A tensor and not the number 1: that would make a strided slice, and the product with it copies the whole head for each row.
    last = torch.tensor([-1], device=device)
    cache = None
    if shared:
        prefix = torch.tensor([prompts[0][:shared]], device=device)
        cache = model(prefix, use_cache=True, logits_to_keep=last).past_key_values
        cache.batch_repeat_interleave(rows)
    own = [prompt[shared:] for prompt in prompts]
    width = max(map(len, own))
    # Left padding, between the shared prefix and each row's own tokens, so that all rows end in the last column.
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in own], device=device)
    seen = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in own], device=device)
    mask = torch.cat([seen.new_ones(rows, shared), seen], dim=1)
    positions = (seen.cumsum(dim=1) - 1).clamp(min=0) + shared
    output = model(ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=last)
    return output.logits[:, -1].float(), output.past_key_values, mask, positions


def _trie(sequences: Sequence[Sequence[int]]) -> Trie:
    root: Trie = {}
    for sequence in sequences:
        node = root
        for token in sequence:
            node = node.setdefault(token, {})
    return root


def _depth(trie: Trie) -> int:
    return 1 + max((_depth(child) for child in trie.values()), default=-1)


def _choose(logits: "torch.Tensor", nodes: Sequence[Trie | None], eos: int) -> list[int]:
    """The best token of each row, among those that its place in the trie allows."""
    if not any(node is not None for node in nodes):
        return [int(token) for token in logits.argmax(dim=-1)]
    choices = []
    for row, node in zip(logits, nodes, strict=True):
        allowed = list(node) if node else [eos]
        choices.append(allowed[int(row[allowed].argmax())])
    return choices
