"""How likely a model holds each choice of a question to be: many questions in one forward pass.

Questions are laid out as a tree. What all prompts start with is computed once, and each prompt once for all its choices:

    tokens     p p p | a a a | x x | y | b b | x | y y
    positions  0 1 2 | 3 4 5 | 6 7 | 6 | 3 4 | 5 | 5 6
    a choice sees the common beginning, its own prompt and itself, causally; never another choice or another question.

A choice's last token is never put in: nothing is predicted from it. So a choice of one token costs nothing beside its question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from tasks.batching import PACKED, PADDED, Batch, Layout, common_prefix_length, to_device

if TYPE_CHECKING:
    import torch

    from tasks.chat import EncodedRow

_TOKENS_TOGETHER = 768
"""Tokens of one forward pass, about: fewer waste time between the layers, more make every token meet too many others under the mask."""


@dataclass(frozen=True)
class EncodedQuestion:
    """Token ids of a question up to where an answer begins, and of each answer to choose from."""

    prompt_ids: list[int]
    choices: list[list[int]]


def choice_losses(model: Any, questions: Sequence[EncodedQuestion], *, layout: Layout, pad_id: int) -> list[list[float]]:
    """Cross-entropy in nats, in fp32, summed over the tokens of each choice: minus its log-likelihood after the question.

    Args:
        layout: the fastest one that gives this model the loss of padded rows. For one that cannot take packed rows each choice becomes a
            padded row.
    """
    collate = _pad_choices if layout is PADDED else lay_out
    logits = PADDED.logits if layout is PADDED else PACKED.logits
    losses: list[list[float]] = []
    for group in _groups(questions):
        batch = to_device(collate(group, pad_id), model.device)
        sizes = [len(ids) for question in group for ids in question.choices]
        summed = iter(_sum_by_row(logits(model, batch), batch["labels"][0], sizes))
        losses += [[next(summed) for _ in question.choices] for question in group]
    return losses


def _sum_by_row(logits: "torch.Tensor", targets: "torch.Tensor", sizes: Sequence[int]) -> list[float]:
    """Cross-entropy of targets that lie one row after another, summed for each row.

    Args:
        logits: shape (targets, vocabulary).
        sizes: targets of each row.
    """
    from torch import split
    from torch.nn.functional import cross_entropy

    losses = cross_entropy(logits.float(), targets, reduction="none")
    return [part.sum().item() for part in split(losses, list(sizes))]


def lay_out(questions: Sequence[EncodedQuestion], pad_id: int) -> Batch:
    """Lays questions out as one sequence of shape (1, tokens) with a boolean mask of shape (1, 1, tokens, tokens)."""
    import torch

    shared = common_prefix_length([question.prompt_ids for question in questions])
    ids, positions = list(questions[0].prompt_ids[:shared]), list(range(shared))
    # Of each token, which question and which of its choices it belongs to; -1: to all.
    owners, branches = [-1] * shared, [-1] * shared
    keep: list[int] = []
    targets: list[int] = []
    for number, question in enumerate(questions):
        own = question.prompt_ids[shared:]
        _append(ids, positions, own, shared)
        last = len(ids) - 1
        branches += [-1] * len(own)
        for branch, choice in enumerate(question.choices):
            keep += [last, *range(len(ids), len(ids) + len(choice) - 1)]
            targets += choice
            _append(ids, positions, choice[:-1], len(question.prompt_ids))
            branches += [branch] * (len(choice) - 1)
        owners += [number] * (len(ids) - len(owners))
    labels = torch.tensor(targets)[None]
    return {
        "input_ids": torch.tensor(ids)[None],
        "position_ids": torch.tensor(positions)[None],
        "attention_mask": _tree_mask(torch.tensor(owners), torch.tensor(branches)),
        "keep": torch.tensor(keep),
        "labels": labels,
        "shift_labels": labels,
    }


def _append(ids: list[int], positions: list[int], tokens: Sequence[int], first: int) -> None:
    ids += tokens
    positions += range(first, first + len(tokens))


def _tree_mask(owners: "torch.Tensor", branches: "torch.Tensor") -> "torch.Tensor":
    same_question = (owners[None, :] == -1) | (owners[None, :] == owners[:, None])
    same_choice = (branches[None, :] == -1) | (branches[None, :] == branches[:, None])
    return (same_question & same_choice).tril()[None, None]


def _pad_choices(questions: Sequence[EncodedQuestion], pad_id: int) -> Batch:
    rows: list[EncodedRow] = [
        {"row_id": "", "prompt_ids": question.prompt_ids, "completion_ids": ids, "supervised": [True] * len(ids)}
        for question in questions
        for ids in question.choices
    ]
    return PADDED.collate(rows, pad_id)


def _groups(questions: Sequence[EncodedQuestion]) -> list[Sequence[EncodedQuestion]]:
    """Neighbours, until they have about as many tokens as go together well."""
    ends = list(accumulate(len(question.prompt_ids) + sum(map(len, question.choices)) for question in questions))
    groups: dict[int, list[EncodedQuestion]] = {}
    for question, end in zip(questions, ends, strict=True):
        groups.setdefault(end // _TOKENS_TOGETHER, []).append(question)
    return list(groups.values())
