"""What is wrong with the texts of rows: broken encoding, control tokens of chat templates, and languages that were not asked for."""

from collections.abc import Collection

import ftfy
import polars as pl
from ftfy.badness import is_bad

from pipeline_config.errors import ConfigError
from tasks.data.labels import are_labels
from tasks.data.quarantine import faults_of
from tasks.languages import SHORTEST, detect_languages, known_languages

_FIELDS = ("instruction", "input", "output")

_LOST = r"\x{FFFD}|ï¿½|ďż˝"
"""The replacement character, itself or read once more as Latin-1 or as Windows-1250."""
_NO_CHARACTERS = r"\p{Noncharacter_Code_Point}|[[\p{Co}\p{Cn}]--\p{Extended_Pictographic}]{2}"
"""Two private or unassigned characters in a row: a single one is a bullet or an icon of some font, a word of them is text that was lost.
Emoji that are newer than the tables of the regular expressions are exempt."""
_SUSPECT = r"[ƒµ[\x{80}-\x{24F}\x{2B0}-\x{2FF}\x{2000}-\x{25FF}--[\p{Ll}\p{Lu}]]]"
"""Signs of the Latin blocks and above: what the later bytes of a character in UTF-8 become."""
_PERHAPS_MISREAD = "|".join(
    (
        rf"{_SUSPECT}[^\x00-\x7F]",
        rf"[^\x00-\x7F]{_SUSPECT}",
        r"[\p{Ll}--[a-z]][\x{C0}-\x{24F}&&\p{Lu}]",
        r"[ÂÃÎÐ][^\x00-\x7F]",
        r"[ÂÃœŒ] |[\x{80}-\x{9F}]|вЂ",
    )
)
"""All that `ftfy` takes for misread, and some that is sound; it spares most rows the slower look."""

_CONTROL_TOKENS = "|".join(
    (
        r"<\|[A-Za-z][A-Za-z0-9_]{2,}\|>",  # ChatML, Llama 3 and 4, Phi, Qwen, Zephyr, harmony, Command, Granite
        r"<｜[^<>｜]{2,40}｜>",  # DeepSeek, with wide bars
        r"<\|(?:turn|channel|tool|tool_call|tool_response)>|<(?:turn|channel|tool|tool_call|tool_response)\|>",  # Gemma 4
        r"</?(?:start|end)_of_turn>|<(?:bos|eos)>",  # Gemma
        r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CONTENT)\]|\[TOOL_CALLS\]",  # Llama 2, Mistral
        r"<</?SYS>>",  # Llama 2
    )
)
_END, _STRUCK = "</s>", r"(?s)<s>.*</s>"
"""The end-of-turn token of Llama 2, Mistral and Zephyr is also HTML's end of struck-out text, after a `<s>`."""
_TURNS = pl.List(pl.Struct({"role": pl.String(), "content": pl.String()}))

_LONG_ANSWER = 4 * SHORTEST
_RELATIVES = (("bs", "hr", "sr", "mk"), ("id", "ms"), ("da", "no"), ("xh", "zu"))
"""Languages of which one sentence in 50 or more is found to be another of the group."""
_OTHER_CODES = {"nb": "no", "nn": "no"}


def find_broken_encoding(table: pl.DataFrame) -> pl.DataFrame:
    """Finds texts that lost characters, or whose UTF-8 was read as something else ("fÃ¼r" for "für").

    A text counts as misread if its characters stand together as they hardly do in any language, and reading it again gives another text
    (`ftfy`). Text that quotes such characters counts, too.

    Returns:
        Row id, code `BROKEN_ENCODING` and reason of each field concerned (`tasks.data.quarantine.FAULTS`).
    """
    texts = pl.concat([_texts(table, field) for field in _FIELDS]).filter(~pl.col("text").str.contains(r"^[\x00-\x7F]*$"))
    is_lost = pl.col("text").str.contains(f"{_LOST}|{_NO_CHARACTERS}")
    lost, perhaps = texts.filter(is_lost), texts.filter(~is_lost & pl.col("text").str.contains(_PERHAPS_MISREAD))
    misread = perhaps.filter(pl.Series([_is_misread(text) for text in perhaps["text"]], dtype=pl.Boolean))
    found = pl.concat(
        [
            lost.with_columns(fault=pl.lit("holds characters that stand for lost ones")),
            misread.with_columns(fault=pl.lit("was decoded as something else than it was encoded in")),
        ]
    )
    return _faults(found, "BROKEN_ENCODING", pl.format("{} {}", "field", "fault"))


def find_control_tokens(table: pl.DataFrame, tokens: Collection[str]) -> pl.DataFrame:
    """Finds control tokens of chat templates in what is not the assistant's: a model takes them for the end of a turn or a new role.

    Those of the common families are always looked for. Markers that other texts use in the same form are not, unless they are given:
    `<s>` and `<tool_call>`, say.

    Args:
        tokens: special tokens of the tokenizer in use. Those without a letter, or of letters and digits only, are words of any text and
            are passed over.

    Returns:
        Row id, code `CONTROL_TOKENS` and reason of each text concerned (`tasks.data.quarantine.FAULTS`).
    """
    alone, chats = table.filter(pl.col("turns").is_null()), table.filter(pl.col("turns").is_not_null())
    texts = pl.concat([_texts(table, "instruction"), _texts(alone, "input"), _turns_of_others(chats)])
    own = sorted(token for token in tokens if any(map(str.isalpha, token)) and not token.isalnum())
    text = pl.col("text").str
    known = text.contains(_CONTROL_TOKENS) | (text.contains(_END, literal=True) & ~text.contains(_STRUCK))
    found = texts.filter(known | (text.contains_any(own) if own else pl.lit(False)))
    return _faults(found, "CONTROL_TOKENS", pl.format("{} holds a control token of a chat template", "field"))


def find_wrong_language(table: pl.DataFrame, languages: Collection[str]) -> pl.DataFrame:
    """Finds rows whose input or answer is written in a language that was not asked for; the instruction stands for a missing input.

    A text whose language cannot be told is no fault, nor is one in a close relative of a language asked for (Croatian for Serbian), and
    labels are not judged. Answers have to be four times as long as inputs to be judged.

    Args:
        languages: ISO 639-1 codes; none means any language.

    Returns:
        Row id, code `WRONG_LANGUAGE` and reason of each field concerned (`tasks.data.quarantine.FAULTS`).

    Raises:
        ConfigError: a code is none of the languages that can be told.
    """
    if not languages:
        return faults_of([])
    wanted = {_OTHER_CODES.get(code, code) for code in languages}
    _require_known(wanted)
    allowed = wanted.union(*(group for group in _RELATIVES if wanted & set(group)))
    asked = pl.concat([_texts(table, "input"), _texts(table.filter(pl.col("input").is_null()), "instruction")])
    answers = _texts(table.clear() if are_labels(table["output"]) else table, "output")
    texts = pl.concat([_in_language(asked, SHORTEST), _in_language(answers, _LONG_ANSWER)])
    wrong = texts.filter(~pl.col("language").is_in(sorted(allowed)))
    return _faults(
        wrong, "WRONG_LANGUAGE", pl.format(f"{{}} is written in `{{}}`, not in {', '.join(sorted(wanted))}", "field", "language")
    )


def _texts(table: pl.DataFrame, field: str) -> pl.DataFrame:
    """Columns `row_id`, `field` and `text`, a row for each text that is there."""
    return table.select("row_id", field=pl.lit(field), text=pl.col(field)).filter(pl.col("text").is_not_null())


def _turns_of_others(chats: pl.DataFrame) -> pl.DataFrame:
    """The same of chats of several turns, a row for each turn that is not the assistant's. `field` is the turn's number from 1."""
    turns = chats.select("row_id", turn=pl.col("turns").str.json_decode(_TURNS)).with_columns(
        number=pl.int_ranges(1, pl.col("turn").list.len() + 1)
    )
    single = turns.explode("turn", "number").unnest("turn").filter((pl.col("role") != "assistant") & pl.col("content").is_not_null())
    return single.select("row_id", field=pl.format("turn {}", "number"), text="content")


def _in_language(texts: pl.DataFrame, shortest: int) -> pl.DataFrame:
    """Those whose language can be told, with `language`."""
    told = pl.Series("language", detect_languages(texts["text"].to_list(), shortest=shortest), dtype=pl.String)
    return texts.with_columns(told).filter(pl.col("language").is_not_null())


def _require_known(codes: set[str]) -> None:
    unknown = sorted(codes - known_languages())
    if unknown:
        raise ConfigError(
            f"no language that can be told apart: {', '.join(unknown)}",
            where="data.checks.languages",
            expected=f"some of {', '.join(sorted(known_languages()))}",
            hint="give two-letter codes of ISO 639-1, or none to keep rows of any language",
        )


def _is_misread(text: str) -> bool:
    return is_bad(text) and ftfy.fix_encoding(text) != text


def _faults(texts: pl.DataFrame, code: str, reason: pl.Expr) -> pl.DataFrame:
    return texts.select("row_id", code=pl.lit(code), reason=reason).sort("row_id", "reason")
