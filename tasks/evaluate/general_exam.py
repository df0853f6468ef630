"""The exam in general use that base and tuned take: the general suite, and a general text to read.

Nothing is generated: a forward pass says how likely a model holds each answer, and each token of the text, to be. Both are asked without
the instruction that a version may answer behind.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tasks.artifacts import Record
from tasks.batching import Layout
from tasks.chat import EncodedRow, Tokenizer, encode_plain, encode_prompt
from tasks.evaluate.choices import EncodedQuestion, choice_losses
from tasks.evaluate.general_text import GeneralText, read_general_text
from tasks.evaluate.perplexity import row_losses
from tasks.evaluate.suite import Question, choose_questions, read_suite, suite_digest
from tasks.rows import spread_evenly

BLOCK_TOKENS = 256
"""Tokens that are read together, the first one without a loss: enough to see sentences in their context, and few enough for many blocks."""
_BLOCKS_TOGETHER = 4


class GeneralAnswers(Record):
    """What one contender made of the exam.

    Attributes:
        picks: for each question the number of the likeliest choice (0: the right one); null if a likelihood was not a number.
        losses: for each block of text the mean loss in nats a token; null if it was not a finite number.
    """

    picks: tuple[int | None, ...]
    losses: tuple[float | None, ...]


@dataclass(frozen=True)
class GeneralExam:
    """What every contender gets.

    Attributes:
        text_tokens: how many tokens of the text have to be predicted, at least.
    """

    questions: tuple[Question, ...]
    text: GeneralText | None
    text_tokens: int

    @cached_property
    def digest(self) -> str:
        """Digest of everything that decides what is asked."""
        text = self.text.digest if self.text is not None else None
        return f"{suite_digest(self.questions)}-{text}-{self.text_tokens}"

    def put_to(self, model: Any, tokenizer: Tokenizer, layout: Layout) -> GeneralAnswers:
        """Asks a model.

        Args:
            layout: the fastest one that gives this model the loss of padded rows.
        """
        import torch

        pad_id = tokenizer.pad_token_id or 0
        asked = [encode_question(tokenizer, question) for question in self.questions]
        with torch.inference_mode():
            by_choice = choice_losses(model, asked, layout=layout, pad_id=pad_id)
            by_block = row_losses(layout, model, self.blocks(tokenizer), rows_per_batch=_BLOCKS_TOGETHER, pad_id=pad_id)
        picks = (likeliest(question, losses) for question, losses in zip(self.questions, by_choice, strict=True))
        means = (loss.nats / loss.tokens for loss in by_block)
        return GeneralAnswers(picks=tuple(picks), losses=tuple(mean if math.isfinite(mean) else None for mean in means))

    def blocks(self, tokenizer: Tokenizer) -> list[EncodedRow]:
        """As many blocks of the text as have enough tokens to predict, from all over it; all there are if it has no more."""
        ids = encode_plain(tokenizer, self.text.text) if self.text is not None else []
        wanted = math.ceil(self.text_tokens / (BLOCK_TOKENS - 1))
        starts = (BLOCK_TOKENS * number for number in spread_evenly(wanted, len(ids) // BLOCK_TOKENS))
        supervised = [True] * (BLOCK_TOKENS - 1)
        return [
            {"row_id": "", "prompt_ids": ids[at : at + 1], "completion_ids": ids[at + 1 : at + BLOCK_TOKENS], "supervised": supervised}
            for at in starts
        ]


def prepare_exam(questions: int | None, text_tokens: int) -> GeneralExam:
    """The exam of this machine.

    Args:
        questions: how many of the suite; null: all.
        text_tokens: how many tokens of general text, at least.
    """
    return GeneralExam(tuple(choose_questions(read_suite(), questions)), read_general_text(), text_tokens)


def encode_question(tokenizer: Tokenizer, question: Question) -> EncodedQuestion:
    """Token ids of the question and of the answer's stem, and of each choice."""
    start = encode_prompt(tokenizer, question.prompt)
    before = encode_plain(tokenizer, question.stem) if question.stem else []
    space = " " if question.stem else ""
    return EncodedQuestion([*start, *before], [encode_plain(tokenizer, f"{space}{choice}") for choice in question.choices])


def likeliest(question: Question, losses: Sequence[float]) -> int | None:
    """The choice with the smallest loss for each byte of its text, as answers differ in length; in bytes it is the same for all tokenizers.

    A tie is not right: it goes to a wrong choice. Null if a loss is no finite number.

    Args:
        losses: of each choice, in nats, summed over its tokens.
    """
    if not all(math.isfinite(loss) for loss in losses):
        return None
    scores = [loss / len(choice.encode()) for loss, choice in zip(losses, question.choices, strict=True)]
    return min(reversed(range(len(scores))), key=scores.__getitem__)
