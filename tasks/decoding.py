"""Decoding, with the best token each time or one that is drawn: a prompt as transformers does it, or many together in few, full passes.

Together, what all prompts begin with is computed once, rows take up no more tokens than they have, a row that is done makes room for the
next prompt, and answers that were given before are guessed: where at least half of the earlier answers with the same beginning went on
alike, those tokens are checked in one pass instead of being generated in one pass each. A guess is taken only as far as the model would
have chosen it, so it changes no answer.

A prompt alone is computed the same way whatever was asked before it: the endpoint is held to the answers that it gave to the evaluation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.answer_rows import Places, Row
from tasks.answer_tree import AnswerTree
from tasks.attention_slots import NewTokens, Slots, bytes_of_column
from tasks.batching import common_prefix_length
from tasks.drawing import Sampling

if TYPE_CHECKING:
    import torch

_TOKENS = 1024
"""Tokens of a pass, at most, but one of each row. More are hardly faster (docs/log.md)."""
_PIECE = 512
"""Of one prompt: scores of a long prompt's tokens with each other would take gigabytes."""
_MEMORY = 2**31
"""Bytes of keys and values behind the common beginning, at most, unless one row alone takes more."""


@dataclass(frozen=True)
class Rules:
    """What an answer may be.

    Attributes:
        end: the token that ends an answer.
        limit: its most tokens.
        allowed: the only answers that there may be, each with the token that ends it; null allows any.
        sampling: how tokens are drawn; null takes the best one.
    """

    end: int
    limit: int
    allowed: AnswerTree | None = None
    sampling: Sampling | None = None

    def is_over(self, answer: Sequence[int]) -> bool:
        """Whether nothing can follow."""
        return bool(answer) and (answer[-1] == self.end or len(answer) >= self.limit)

    @property
    def take_the_best(self) -> bool:
        """Whether the best of all tokens follows, whatever the answer is so far."""
        return self.allowed is None and self.sampling is None

    def choose(self, logits: "torch.Tensor", answer: Sequence[int], prompt: int) -> int:
        """One of the tokens that may follow: the best one, of equally good ones the first, or the one that is drawn.

        Args:
            logits: shape (vocabulary,).
            prompt: number of the prompt that is answered.
        """
        node = self.allowed.find(answer) if self.allowed is not None else None
        if node is None:
            return self._pick(logits, answer, prompt)
        tokens = sorted(node.children)
        return tokens[self._pick(logits[tokens], answer, prompt)]

    def _pick(self, logits: "torch.Tensor", answer: Sequence[int], prompt: int) -> int:
        return int(logits.argmax()) if self.sampling is None else self.sampling.draw(logits, prompt, len(answer))

    def forced(self, answer: Sequence[int]) -> list[int]:
        """What has to follow, whatever the model thinks."""
        node = self.allowed.find(answer) if self.allowed is not None else None
        return node.forced() if node is not None else []


def rules(end: int, limit: int, allowed: Sequence[Sequence[int]] | None, sampling: Sampling | None = None) -> Rules:
    """Rules for answers of so many tokens at most, or for exactly the allowed ones, however long they are."""
    if allowed is None:
        return Rules(end, limit, sampling=sampling)
    tree = AnswerTree(allowed)
    return Rules(end, max(limit, tree.depth()), tree, sampling)


def answer_alone(model: Any, prompt: Sequence[int], rules: Rules, number: int = 0) -> list[int]:
    """Token ids of an answer, the one that ends it included where it came; `number` is the prompt's, for whoever draws tokens."""
    import torch
    from transformers import DynamicCache

    answer: list[int] = []
    step, cache, position = list(prompt), DynamicCache(), 0
    while not rules.is_over(answer):
        ids = torch.tensor([step], device=model.device)
        positions = torch.arange(position, position + len(step), device=model.device)[None]
        output = model(ids, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=_last(model))
        cache, position = output.past_key_values, position + len(step)
        answer.append(rules.choose(output.logits[0, -1].float(), answer, number))
        answer += rules.forced(answer)
        step = answer[position - len(prompt) :]
    return answer


def _last(model: Any) -> "torch.Tensor":
    """A tensor and not the number 1: that would make a strided slice, and the product with it copies the whole head for each row."""
    import torch

    return torch.tensor([-1], device=model.device)


class _Step(NamedTuple):
    """What a pass computes of a row; the last of these tokens may be guessed."""

    row: Row
    ids: list[int]
    guess: list[int]


class Together:
    """Answers many prompts at once. A model has to be one whose attention is `tasks.attention`'s."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], rules: Rules, *, rows: int, given: AnswerTree | None = None) -> None:
        """Computes what all prompts begin with.

        Args:
            rows: how many are answered at a time, at most; fewer if their keys and values would take gigabytes.
            given: answers that are likely to be given; those that are allowed are, and every new one is put in.
        """
        self._model, self._rules = model, rules
        self._shared = common_prefix_length(prompts)
        self._waiting = sorted(range(len(prompts)), key=lambda number: len(prompts[number]), reverse=True)
        self._prompts = prompts
        lead = _lead(model, prompts[0], self._shared)
        longest = len(prompts[self._waiting[0]]) - self._shared + rules.limit
        rows = max(1, min(rows, len(prompts), _MEMORY // (longest * bytes_of_column(lead))))
        self._slots, self._places = Slots(lead, rows, longest), Places(rows)
        self._given = given or rules.allowed or AnswerTree()

    def answers(self) -> Iterator[dict[int, list[int]]]:
        """Token ids of answers by the number of their prompt, as they are done; short prompts come first."""
        active: list[Row] = []
        while self._waiting or active:
            steps = self._plan(active)
            self._advance(steps)
            rows = [step.row for step in steps]
            active = [row for row in rows if not self._rules.is_over(row.answer)]
            if done := [row for row in rows if self._rules.is_over(row.answer)]:
                self._dismiss(done)
                yield {row.number: row.answer for row in done}

    def first_logits(self) -> dict[int, "torch.Tensor"]:
        """Logits in fp32 behind the prompts that come first, by their number."""
        steps = self._plan([])
        return {step.row.number: line for step, line in zip(steps, self._forward(steps).float(), strict=True)}

    def _plan(self, active: Sequence[Row]) -> list[_Step]:
        """The next pass, rows with few tokens first: what is not stored yet of each row, a guess how its answer goes on, and new prompts.

        New ones come along as soon as there is a place: a pass over a row's next token alone costs nearly as much as one over many tokens.
        """
        steps, room = [], _TOKENS
        for row in active:
            steps.append(self._step(row, max(room, 1)))
            room -= len(steps[-1].ids)
        while fresh := self._admit(room):
            steps.append(self._step(fresh, room))
            room -= len(steps[-1].ids)
        self._slots.copy(self._places.copies())
        return sorted(steps, key=lambda step: len(step.ids))

    def _admit(self, room: int) -> Row | None:
        """The next prompt, if it has a place, and room for all that has to be computed of it or for a good piece."""
        if not self._waiting or not self._places.any_free:
            return None
        ids = list(self._prompts[self._waiting[-1]][self._shared :])
        known = self._places.find(ids)
        if min(len(ids) - known.tokens, _PIECE) > room:
            return None
        return self._places.take(self._waiting.pop(), ids, known)

    def _step(self, row: Row, room: int) -> _Step:
        left = row.ids[row.stored :]
        guess = self._guess(row.answer) if len(left) < room else []
        ids = (left + guess)[: min(room, _PIECE)]
        return _Step(row, ids, ids[len(left) :])

    def _dismiss(self, done: Sequence[Row]) -> None:
        for row in done:
            self._places.leave(row)
            self._given.add(row.answer)

    def _advance(self, steps: Sequence[_Step]) -> None:
        """One forward pass, and what follows from it."""
        logits = self._forward(steps)
        # The index that `max` gives is also that of the first of equals; `argmax` takes five times as long in bf16.
        best = logits.max(dim=-1).indices.tolist() if self._rules.take_the_best else None
        at = 0
        for row, ids, guess in steps:
            row.stored += len(ids) - len(guess)
            if row.stored == len(row.ids):
                for number, guessed in enumerate([*guess, None], start=at):
                    token = best[number] if best is not None else self._rules.choose(logits[number], row.answer, row.number)
                    row.ids.append(token)
                    if token != guessed or self._rules.is_over(row.answer):
                        break
                    row.stored += 1
                row.ids += self._rules.forced(row.answer)
            at += 1 + len(guess)

    def _guess(self, answer: Sequence[int]) -> list[int]:
        """Tokens that may well follow; without the one that ends an answer, because nothing would have to be chosen behind it."""
        node = self._given.find(answer)
        likely = node.likely() if node is not None else []
        room = self._rules.limit - len(answer) - 1
        return [token for token in likely[:room] if token != self._rules.end]

    def _forward(self, steps: Sequence[_Step]) -> "torch.Tensor":
        """Logits behind each step's last token that is no guess, and behind each guess, shape (1 + guesses of all steps, vocabulary)."""
        import torch

        device = self._model.device
        ids: list[int] = []
        positions: list[int] = []
        keep: list[int] = []
        for row, new, guess in steps:
            ids += new
            positions += range(self._shared + row.stored, self._shared + row.stored + len(new))
            keep += range(len(ids) - len(guess) - 1, len(ids))
        self._slots.expect([NewTokens(row.slot, row.stored, len(new)) for row, new, _ in steps])
        # An attention that looks at a mask all the same finds that nothing is visible, and its logits are not numbers.
        nothing = torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=device)
        output = self._model(
            torch.tensor([ids], device=device), position_ids=torch.tensor([positions], device=device), attention_mask=nothing,
            blocks={"slots": self._slots}, logits_to_keep=torch.tensor(keep, device=device), use_cache=False,
        )  # fmt: skip
        return output.logits[0]  # type: ignore[no-any-return]


def _lead(model: Any, prompt: Sequence[int], shared: int) -> "list[tuple[torch.Tensor, torch.Tensor]]":
    """Keys and values of each layer for the first `shared` tokens of a prompt, and of virtual tokens before them."""
    import torch
    from transformers import DynamicCache

    # Where prompts share nothing, virtual tokens still come before them: one token is computed, and left out.
    count = max(shared, 1)
    ids, positions = torch.tensor([prompt[:count]], device=model.device), torch.arange(count, device=model.device)[None]
    # A cache without the model's configuration keeps all keys, also in layers with a sliding window.
    output = model(ids, position_ids=positions, past_key_values=DynamicCache(), use_cache=True, logits_to_keep=_last(model))
    layers = output.past_key_values.layers
    kept = layers[0].keys.shape[2] - (count - shared)
    return [(layer.keys[0, :, :kept].contiguous(), layer.values[0, :, :kept].contiguous()) for layer in layers]


def why_not_together(model: Any, prompts: Sequence[Sequence[int]], rules: Rules) -> str | None:
    """What is wrong with a model's answers to many prompts together, in words; null if it computes them as it does alone.

    A model whose layers keep something else of a row than keys and values, or whose attention is its own, would mix rows without a word.

    Args:
        prompts: two or more, of which two are tried.
    """
    import torch

    shortest = sorted(prompts, key=len)
    tried = [prompt[: common_prefix_length(prompts) + _PIECE // 2] for prompt in (shortest[0], shortest[len(prompts) // 2])]
    try:
        # For one token: room for a long answer might leave memory for one row only.
        together = Together(model, tried, replace(rules, limit=1), rows=2).first_logits()
        alone = [_logits_alone(model, prompt) for prompt in tried]
    # Models and kernels of all kinds refuse in ways of their own what they cannot do.
    except (ValueError, TypeError, RuntimeError, AttributeError, LookupError) as error:
        return f"{type(error).__name__}: {error}"
    tolerance = 1e-3 if model.config.dtype in (None, torch.float32) else 5e-2
    for number, wanted in enumerate(alone):
        off = ((together[number] - wanted).abs().max() / wanted.abs().max()).item()
        # Written so that what is not a number agrees with nothing.
        if not off <= tolerance:
            return f"logits are off by {off:.2g} of the largest"
    return None


def _logits_alone(model: Any, prompt: Sequence[int]) -> "torch.Tensor":
    import torch

    ids, positions = torch.tensor([prompt], device=model.device), torch.arange(len(prompt), device=model.device)[None]
    return model(ids, position_ids=positions, logits_to_keep=_last(model), use_cache=True).logits[0, -1].float()  # type: ignore[no-any-return]
