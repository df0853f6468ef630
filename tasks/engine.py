"""The engine in this process: greedy decoding with the prompts' common prefix computed once, rows sorted by length."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_config.errors import ModelError
from pipeline_config.model import ModelConfig
from tasks.batching import common_prefix_length
from tasks.chat import decode, encode_prompt, encode_text
from tasks.generation import Answer
from tasks.manifest import read_manifest
from tasks.methods import METHODS
from tasks.models import LoadedBase, load_base
from tasks.rows import Message

if TYPE_CHECKING:
    import torch

Trie = dict[int, "Trie"]
"""The token sequences that may be answered, as nested mappings."""


def open_engine(config: ModelConfig, workspace: Path) -> "TransformersEngine":
    """Loads a base and makes it answer."""
    return TransformersEngine(load_base(config, workspace))


class TransformersEngine:
    """`tasks.generation.Engine` on transformers and PEFT. PEFT's active adapter is global state, so one call runs at a time."""

    def __init__(self, base: LoadedBase) -> None:
        self._base = base
        self._model = base.model
        self._names: dict[str, Path] = {}
        self._lock = threading.RLock()

    @property
    def base_digest(self) -> str:
        """Digest of the base that is in memory."""
        return self._base.identity.digest

    @property
    def base(self) -> LoadedBase:
        """The bare base, for callers that measure losses on it. Use :meth:`active` around that."""
        return self._base

    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""
        return tuple(self._names)

    def load_adapter(self, name: str, artifact: Path) -> None:
        """See :meth:`tasks.generation.Engine.load_adapter`."""
        manifest = read_manifest(artifact)
        if manifest.base != self._base.identity.model_copy(update={"name_or_path": manifest.base.name_or_path}):
            raise ModelError(
                f"the version belongs to base {manifest.base.digest[:12]} in {manifest.base.dtype}", where=name,
                expected=f"base {self.base_digest[:12]} in {self._base.identity.dtype}",
                hint="one engine holds one base; open another for this one",
            )  # fmt: skip
        with self._lock:
            if name in self._names:
                raise ModelError("an adapter of this name is loaded already", where=name, expected="a new name", hint="unload it first")
            self._model = METHODS[manifest.method].load(self._model, name, artifact)
            self._model.eval()
            self._names[name] = artifact

    def unload_adapter(self, name: str) -> None:
        """See :meth:`tasks.generation.Engine.unload_adapter`."""
        with self._lock:
            self._require(name)
            if len(self._names) == 1:
                self._model = self._model.unload()
            else:
                self._model.delete_adapter(name)
            del self._names[name]

    def active(self, adapter: str | None) -> AbstractContextManager[Any]:
        """The model with one adapter, or with none, switched on. Hold :attr:`lock` around it."""
        if adapter is not None:
            self._require(adapter)
            self._model.set_adapter(adapter)
            return nullcontext(self._model)
        return self._model.disable_adapter() if self._names else nullcontext(self._model)

    @property
    def lock(self) -> threading.RLock:
        """Held while an adapter is active."""
        return self._lock

    @property
    def model(self) -> Any:
        """The module to call inside :meth:`active`."""
        return self._model

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
        with self._lock, torch.inference_mode(), self.active(adapter):
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                generated = self._greedy([encoded[index] for index in chosen], max_new_tokens, trie)
                answers |= {i: self._as_answer(encoded[i], ids) for i, ids in zip(chosen, generated, strict=True)}
                if on_answer is not None:
                    on_answer(len(answers))
        return [answers[index] for index in range(len(encoded))]

    def _greedy(self, prompts: list[list[int]], limit: int, trie: Trie | None) -> list[list[int]]:
        """Token ids of each answer, the end-of-turn token included where it came."""
        import torch

        eos, pad = self._base.tokenizer.eos_token_id, self._base.tokenizer.pad_token_id or 0
        logits, cache, mask, positions = self._prefill(prompts, pad)
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
            output = self._model(step, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True)
            logits, cache = output.logits[:, -1].float(), output.past_key_values
        return produced

    def _prefill(self, prompts: list[list[int]], pad: int) -> tuple["torch.Tensor", Any, "torch.Tensor", "torch.Tensor"]:
        """Logits after each prompt, cache, mask and positions. What all prompts start with is computed once and its cache shared."""
        import torch

        shared = common_prefix_length(prompts) if len(prompts) > 1 else 0
        device, rows = self._model.device, len(prompts)
        # A tensor and not the number 1: that would make a strided slice, and the product with it copies the whole head for each row.
        last = torch.tensor([-1], device=device)
        cache = None
        if shared:
            prefix = torch.tensor([prompts[0][:shared]], device=device)
            cache = self._model(prefix, use_cache=True, logits_to_keep=last).past_key_values
            cache.batch_repeat_interleave(rows)
        own = [prompt[shared:] for prompt in prompts]
        width = max(map(len, own))
        # Left padding, between the shared prefix and each row's own tokens, so that all rows end in the last column.
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in own], device=device)
        seen = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in own], device=device)
        mask = torch.cat([seen.new_ones(rows, shared), seen], dim=1)
        positions = (seen.cumsum(dim=1) - 1).clamp(min=0) + shared
        output = self._model(ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=last)
        return output.logits[:, -1].float(), output.past_key_values, mask, positions

    def _as_answer(self, prompt: list[int], ids: list[int]) -> Answer:
        stopped = bool(ids) and ids[-1] == self._base.tokenizer.eos_token_id
        return Answer(decode(self._base.tokenizer, ids), len(prompt), len(ids), "stop" if stopped else "length")

    def _require(self, name: str) -> None:
        if name not in self._names:
            raise ModelError("no adapter has this name", where=name, expected=f"one of {', '.join(self._names) or '(none)'}")


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
