"""The only place that knows chat templates, end-of-turn tokens and which tokens carry loss."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from typing_extensions import TypedDict

from pipeline_config.errors import ModelError
from tasks.rows import Message, Row, answer_of
from tasks.tool_calls import parse_tool_calls

Tokenizer = Any
"""A Hugging Face fast tokenizer; the library ships no usable types."""


class EncodedRow(TypedDict):
    """Token ids of a row.

    `prompt_ids` is everything before the first token that carries loss, `completion_ids` the rest, up to the last end-of-turn token.
    `supervised` says of each completion token whether it carries loss: of a plain chat all do, of several turns only the answers and the
    end-of-turn tokens behind them.
    """

    row_id: str
    prompt_ids: list[int]
    completion_ids: list[int]
    supervised: list[bool]


def encode_prompt(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """Token ids up to and including the header of the assistant's turn."""
    return _ids(tokenizer, _render(tokenizer, messages, answer_follows=True))


def encode_plain(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text that is no turn of a chat."""
    return _ids(tokenizer, text)


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of an answer and the end-of-turn token after it."""
    return [*_ids(tokenizer, text), tokenizer.eos_token_id]


def encode_row(tokenizer: Tokenizer, row: Row) -> EncodedRow:
    """A row for training: loss on every answer. Before each answer stand the very tokens that generation would see there.

    Raises:
        ModelError: the template refuses the chat, changes earlier turns when later ones are added, or ends an answer without the
            end-of-turn token.
        DataError: the tool calls are none.
    """
    last = encode_last_answer(tokenizer, row)
    before = last["prompt_ids"]
    answers = [end for end, turn in enumerate(row["messages"][:-1], start=1) if turn["role"] == "assistant"]
    if not answers:
        return last
    spans = [_find_answer(tokenizer, row, end, before) for end in answers]
    first = spans[0].start
    earlier = {place for span in spans for place in span}
    return {
        "row_id": row["row_id"],
        "prompt_ids": before[:first],
        "completion_ids": [*before[first:], *last["completion_ids"]],
        "supervised": [*(place in earlier for place in range(first, len(before))), *last["supervised"]],
    }


def encode_last_answer(tokenizer: Tokenizer, row: Row) -> EncodedRow:
    """A row for measuring: all before the last answer is prompt, exactly as generation sees it, and loss is on the last answer alone.

    Raises:
        ModelError, DataError: as :func:`encode_row`.
    """
    prompt, answer = _split(tokenizer, row["messages"], row["row_id"])
    completion = encode_text(tokenizer, answer)
    supervised = [True] * len(completion)
    return {"row_id": row["row_id"], "prompt_ids": _ids(tokenizer, prompt), "completion_ids": completion, "supervised": supervised}


def expected_answer(tokenizer: Tokenizer, row: Row) -> str:
    """The text that generation has to give for the last answer: as the template writes it where it calls tools, else as it stands."""
    if "tool_calls" not in row["messages"][-1]:
        return answer_of(row)
    return decode(tokenizer, encode_last_answer(tokenizer, row)["completion_ids"])


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Text of generated tokens, without special tokens."""
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def as_judged(tokenizer: Tokenizer, max_new_tokens: int) -> Any:
    """The `GenerationConfig` by which other software answers as evaluation does: greedily, up to the end-of-turn token."""
    from transformers import GenerationConfig

    end = tokenizer.eos_token_id
    return GenerationConfig(do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=end, pad_token_id=end)


def count_tokens(tokenizer: Tokenizer, messages: Sequence[Message]) -> int:
    """Tokens of a whole chat, answers and tool calls included."""
    return len(_ids(tokenizer, _render(tokenizer, messages, answer_follows=False)))


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _split(tokenizer: Tokenizer, messages: Sequence[Message], row_id: str) -> tuple[str, str]:
    """The rendered text up to the last answer, and the answer without its end-of-turn token."""
    prompt, whole = _render(tokenizer, messages[:-1], answer_follows=True), _render(tokenizer, messages, answer_follows=False)
    answer, end, _ = whole[len(prompt) :].rpartition(tokenizer.eos_token)
    if not whole.startswith(prompt) or not end:
        raise ModelError(
            "the chat template cannot be split into a prompt and an answer", where=f"row {row_id}",
            expected=f"the rendered chat to start with its prompt and to close the answer with {tokenizer.eos_token!r}",
            hint="use an instruct model whose tokenizer has a plain chat template",
        )  # fmt: skip
    return prompt, answer


def _find_answer(tokenizer: Tokenizer, row: Row, end: int, seen: Sequence[int]) -> range:
    """Where the answer that is turn number `end` and its end-of-turn token stand in `seen`, the tokens before the last answer."""
    prompt, answer = _split(tokenizer, row["messages"][:end], row["row_id"])
    before, after = (_ids(tokenizer, text) for text in (prompt, f"{prompt}{answer}{tokenizer.eos_token}"))
    if after[: len(before)] != before or seen[: len(after)] != after:
        raise ModelError(
            "the chat template changes earlier turns when later ones are added", where=f"row {row['row_id']}, turn {end}",
            expected="the same tokens for a turn whatever follows it",
            hint="use a model whose template keeps all turns as they were, or rows with one answer each",
        )  # fmt: skip
    return range(len(before), len(after))


def _render(tokenizer: Tokenizer, messages: Sequence[Message], *, answer_follows: bool) -> str:
    turns = [_with_parsed_calls(message) for message in messages]
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer_follows))
    # A template is a program of somebody else's, and refuses in ways of its own.
    except Exception as error:
        raise ModelError(
            f"the chat template refuses the chat: {type(error).__name__}: {error}", where=", ".join(turn["role"] for turn in messages),
            expected="a template for these turns", hint="use a model whose template knows them, or rows without them",
        ) from error  # fmt: skip


def _with_parsed_calls(message: Message) -> Mapping[str, Any]:
    return {**message, "tool_calls": parse_tool_calls(message["tool_calls"])} if "tool_calls" in message else message


# What a template can do

Feature = Literal["system turns", "several answers", "tool calls", "several tool calls at once", "tool turns"]
"""What a chat may have and a template may not know."""

_SYSTEM, _ASKED, _ASKED_AGAIN, _ANSWER, _ANSWER_AGAIN, _NAME, _KEY, _VALUE, _RESULT = _WORDS = (
    "qxsystem", "qxaskone", "qxasktwo", "qxanswerone", "qxanswertwo", "qxname", "qxkey", "qxvalue", "qxresult",
)  # fmt: skip
"""Words that stand in no template."""

_MARKER = re.compile(r"<<[^<>\s]+>>|<[^<>\s]+>|\[/?[A-Z_]+\]")


def features_of(messages: Sequence[Message]) -> frozenset[Feature]:
    """What a chat needs its template to know.

    Raises:
        DataError: the tool calls are none.
    """
    calls = [len(parse_tool_calls(turn["tool_calls"])) for turn in messages if "tool_calls" in turn]
    roles = [turn["role"] for turn in messages]
    needed: dict[Feature, bool] = {
        "system turns": "system" in roles,
        "several answers": roles.count("assistant") > 1,
        "tool calls": bool(calls),
        "several tool calls at once": any(count > 1 for count in calls),
        "tool turns": "tool" in roles,
    }
    return frozenset(feature for feature, is_needed in needed.items() if is_needed)


def unrendered(tokenizer: Tokenizer) -> frozenset[Feature]:
    """What the tokenizer's template leaves out, refuses, or does not keep as it was when more turns follow; found by rendering small chats.

    Rows with one of these (:func:`features_of`) cannot be trained on: :func:`encode_row` would raise, or teach nothing of it.

    Raises:
        ModelError: not even one question and its answer can be rendered and split.
    """
    _split(tokenizer, [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _ANSWER}], "probe")
    return frozenset(feature for feature, (chat, words) in _probes().items() if not _carries(tokenizer, chat, words))


def control_tokens(tokenizer: Tokenizer) -> frozenset[str]:
    """Texts that mean something to the template or the model when they stand in a message.

    These are the special tokens, other added tokens of the form `<|…|>`, and the markers that the template writes around messages, such as
    `[INST]`. Added tokens of another form, such as runs of spaces, only make texts shorter.
    """
    added = tokenizer.added_tokens_decoder.values()
    tokens = {token.content for token in added if token.special or re.fullmatch(r"<\|.+\|>", token.content)}
    return frozenset({*tokens, *tokenizer.all_special_tokens, *_MARKER.findall(_around_messages(tokenizer))})


def _around_messages(tokenizer: Tokenizer) -> str:
    """What the template writes that is no text of a message, over all chats that it renders."""
    rendered = []
    for chat, _ in _probes().values():
        for answer_follows in (False, True):
            try:
                rendered.append(_render(tokenizer, chat, answer_follows=answer_follows))
            except ModelError:
                continue
    return re.sub("|".join(_WORDS), "\n", "\n".join(rendered))


def _carries(tokenizer: Tokenizer, chat: list[Message], words: tuple[str, ...]) -> bool:
    try:
        encode_row(tokenizer, {"row_id": "probe", "digest": "", "group": "", "messages": chat})
        text = _render(tokenizer, chat, answer_follows=False)
    except ModelError:
        return False
    return all(word in text for word in words)


def _probes() -> dict[Feature, tuple[list[Message], tuple[str, ...]]]:
    """For each feature a chat that has it, and the words that must be in the rendered text."""
    call = {"name": _NAME, "arguments": {_KEY: _VALUE}}
    asked: list[Message] = [{"role": "user", "content": _ASKED}]
    answer: list[Message] = [{"role": "assistant", "content": _ANSWER}]
    calling: list[Message] = [{"role": "assistant", "content": "", "tool_calls": json.dumps([call])}]
    calling_twice: list[Message] = [{"role": "assistant", "content": "", "tool_calls": json.dumps([call, {**call, "name": _RESULT}])}]
    again: list[Message] = [{"role": "user", "content": _ASKED_AGAIN}, {"role": "assistant", "content": _ANSWER_AGAIN}]
    return {
        "system turns": ([{"role": "system", "content": _SYSTEM}, *asked, *answer], (_SYSTEM,)),
        "several answers": ([*asked, *answer, *again], (_ASKED, _ANSWER, _ASKED_AGAIN, _ANSWER_AGAIN)),
        "tool calls": ([*asked, *calling], (_NAME, _KEY, _VALUE)),
        "several tool calls at once": ([*asked, *calling_twice], (_NAME, _RESULT)),
        "tool turns": ([*asked, *calling, {"role": "tool", "content": _RESULT}, *answer], (_RESULT,)),
    }
