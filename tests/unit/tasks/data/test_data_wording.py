"""Broken encoding, control tokens and languages that were not asked for."""

import json

import ftfy
import polars as pl
import pytest
from ftfy.badness import is_bad
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.errors import ConfigError
from tasks.data.quarantine import FAULTS
from tasks.data.wording import find_broken_encoding, find_control_tokens, find_wrong_language

GERMAN = "Der Drucker im dritten Stock antwortet seit heute nicht mehr."
ENGLISH = "The printer on the third floor does not answer any more."
TEXTS = {"row_id": pl.String, "instruction": pl.String, "input": pl.String, "output": pl.String, "turns": pl.String}


def rows(*texts: str | None, **changes: str | None) -> pl.DataFrame:
    """A row for each input, numbered from 0."""
    row = {"instruction": "Name the queue.", "output": "network", "turns": None} | changes
    return pl.DataFrame([{"row_id": str(number), "input": text} | row for number, text in enumerate(texts)], schema=TEXTS)


def found(faults: pl.DataFrame) -> list[tuple[str, str]]:
    assert faults.schema == FAULTS
    return faults.select("row_id", "reason").rows()


MISREAD = [("café", "latin-1"), ("für dich", "cp1252"), ("Größe", "cp1252"), ("привет мир", "cp1252"), ("привет мир", "cp1251"),
           ("it’s “fine” – really", "cp1252"), ("10 €", "cp1252"), ("日本語", "latin-1"), ("20 °C", "latin-1"),
           ("Příliš žluťoučký kůň", "cp1250"),
           ("voilà tout", "latin-1")]  # fmt: skip


@pytest.mark.parametrize(("text", "encoding"), MISREAD)
def test_utf_8_that_was_read_as_something_else_is_found(text: str, encoding: str) -> None:
    misread = text.encode().decode(encoding, errors="ignore")
    assert found(find_broken_encoding(rows(text))) == []
    assert found(find_broken_encoding(rows(misread))) == [("0", "input was decoded as something else than it was encoded in")]


def test_text_that_was_misread_twice_is_found() -> None:
    twice = "été".encode().decode("cp1252").encode().decode("cp1252")
    assert find_broken_encoding(rows(twice)).height == 1


@pytest.mark.parametrize(
    "text",
    ["caf\ufffd", "caf\ufffd".encode().decode("latin-1"), "\ue012\ue013\ue014", "\ufdd0", "a\U0001fffe", "\U00088888\U00088889"],
)
def test_characters_that_stand_for_lost_ones_are_found(text: str) -> None:
    assert found(find_broken_encoding(rows(text))) == [("0", "input holds characters that stand for lost ones")]


@pytest.mark.parametrize(
    "text",
    [
        "NÃO É POSSÍVEL, AÇÃO SÃO", "CAFÉ « oui » à 5 €", "À bientôt ! Ça coûte 20 °C", "Straße – „Größe“ …", "Zażółć gęślą jaźń",
        "Tiếng Việt đẹp lắm ạ", "日本語の「テキスト」。", "مرحبا بالعالم", "Привет, «мир» №5", "Ελληνικά — «ναι»", "한국어 텍스트",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1ea\U0001f1fa \u2764\ufe0f", "∑x² ≤ ∞, ∂f/∂x ≠ 0, ±5 µm, ½", "\uf0b7 a bullet",
        "cafe\u0301", "l’œuvre", "ÅÄÖ åäö", "Ã", "a\tb\r\n", "»čakaj«", "\U0001faea\U0001faea",
    ],
)  # fmt: skip
def test_sound_text_of_many_languages_is_left_alone(text: str) -> None:
    assert found(find_broken_encoding(rows(text, instruction=text, output=text))) == []


def test_each_field_that_is_broken_is_named() -> None:
    broken = rows("fÃ¼r", instruction="fÃ¼r", output="a\ufffd")
    assert [reason.split()[0] for _, reason in found(find_broken_encoding(broken))] == ["input", "instruction", "output"]


@given(
    text=st.text(st.characters(min_codepoint=0xA0, max_codepoint=0x2122, exclude_categories=["Cn", "Cs", "Co"]), min_size=1, max_size=8),
    encoding=st.sampled_from(["latin-1", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1257", "mac_roman", "cp437"]),
)
def test_the_quick_look_loses_nothing_that_the_slow_one_finds(text: str, encoding: str) -> None:
    misread = text.encode().decode(encoding, errors="ignore")
    if is_bad(misread) and ftfy.fix_encoding(misread) != misread:
        assert find_broken_encoding(rows(misread)).height == 1


TOKENS = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|eot|>", "<|user|>",
    "<|end|>", "<|start|>", "<|channel|>", "<start_of_turn>", "<end_of_turn>", "<|turn>", "<turn|>",
    "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>",
    "[SYSTEM_PROMPT]", "[TOOL_CALLS]", "<｜User｜>", "<｜end▁of▁sentence｜>", "</s>", "<|vision_start|>", "<|START_OF_TURN_TOKEN|>",
]  # fmt: skip


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("text", ["{}", "ignore that{}system", "a line\n{} a line"])
def test_control_tokens_of_the_common_families_are_found(token: str, text: str) -> None:
    assert found(find_control_tokens(rows(text.format(token)), ())) == [("0", "input holds a control token of a chat template")]


@pytest.mark.parametrize(
    "text",
    [
        "a <br> b", "x |> f", "f <| x", "List.map <| sort |> f", "[INSTALL]", "[inst]", "<<DRAFT>>", "<user>", "<system>", "im_end",
        "im_start", "<s>old</s> new", "<|x|>", "a<|b", "| a | b |", "<p>", "</span>", "[IMG]a.png[/IMG]", "<<EOF", "<think>",
        "<tool_call>", "{{user}}",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_control_token_is_left_alone(text: str) -> None:
    assert found(find_control_tokens(rows(text), ["<|im_end|>"])) == []


def test_tokens_of_the_tokenizer_in_use_are_found_and_ordinary_words_among_them_are_not() -> None:
    table = rows("open <filename>", "a.b*c", "the user!", "two  blanks")
    assert found(find_control_tokens(table, [])) == []
    tokens = ["<filename>", "user", "!", "  ", "a.*c"]
    assert [row for row, _ in found(find_control_tokens(table, tokens))] == ["0"]


def test_the_instruction_is_looked_at_and_the_answer_is_not() -> None:
    assert found(find_control_tokens(rows("a", instruction="b<|im_end|>"), ())) == [
        ("0", "instruction holds a control token of a chat template")
    ]
    assert found(find_control_tokens(rows("a", output="b<|im_end|>"), ())) == []


def test_of_a_chat_every_turn_but_the_assistants_is_looked_at() -> None:
    def chat(*turns: tuple[str, str | None]) -> pl.DataFrame:
        text = json.dumps([{"role": role, "content": content} for role, content in turns])
        return rows("\n".join(content or "" for _, content in turns[:-1]), turns=text)

    assert found(find_control_tokens(chat(("user", "a"), ("assistant", "</s>"), ("user", "b"), ("assistant", "c")), ())) == []
    seen = chat(("user", "a"), ("assistant", "b"), ("tool", "<｜User｜>"), ("user", None), ("assistant", "c"))
    assert found(find_control_tokens(seen, ())) == [("0", "turn 3 holds a control token of a chat template")]


def test_text_in_a_language_that_was_not_asked_for_is_found() -> None:
    table = rows(ENGLISH, GERMAN, "ok", None)
    assert found(find_wrong_language(table, ["en"])) == [("1", "input is written in `de`, not in en")]
    assert found(find_wrong_language(table, ["de", "en"])) == []
    assert found(find_wrong_language(table, [])) == []


def test_the_instruction_stands_for_a_missing_input() -> None:
    assert found(find_wrong_language(rows(None, ENGLISH, instruction=GERMAN), ["en"])) == [
        ("0", "instruction is written in `de`, not in en")
    ]


def test_long_answers_are_judged_and_short_ones_and_labels_are_not() -> None:
    assert found(find_wrong_language(rows(ENGLISH, output=GERMAN * 2), ["en"])) == [("0", "output is written in `de`, not in en")]
    assert found(find_wrong_language(rows(ENGLISH, output=GERMAN[:40]), ["en"])) == []
    assert found(find_wrong_language(rows(*[ENGLISH] * 3, output=GERMAN * 2), ["en"])) == []


def test_a_close_relative_of_a_language_is_kept() -> None:
    danish = "Printeren på tredje sal svarer ikke længere, og vi har brug for den i dag."
    assert found(find_wrong_language(rows(danish), ["no"])) == []
    assert found(find_wrong_language(rows(danish), ["sv"])) == [("0", "input is written in `da`, not in sv")]
    assert found(find_wrong_language(rows("Skriveren i tredje etasje svarer ikke lenger."), ["nb"])) == []


def test_a_language_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(ConfigError, match="english, xx"):
        find_wrong_language(rows(ENGLISH), ["en", "xx", "english"])


@pytest.mark.parametrize("find", [find_broken_encoding, lambda t: find_control_tokens(t, ()), lambda t: find_wrong_language(t, ["en"])])
def test_a_table_without_rows_has_no_faults(find: object) -> None:
    assert find(rows()).schema == FAULTS  # type: ignore[operator]
