import re
import tomllib
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tasks.evaluate.general_text import read_general_text
from tasks.evaluate.suite import CATEGORIES, Question, choose_questions, read_suite, suite_digest
from tasks.files import sha256_bytes

ROOT = Path(__file__).parents[4]
SUITE = read_suite()


def test_there_are_enough_questions_in_every_category() -> None:
    counts = Counter(question.category for question in SUITE)
    assert tuple(counts) == CATEGORIES
    assert sum(counts.values()) >= 300
    assert min(counts.values()) >= 100
    assert max(counts.values()) <= 1.25 * min(counts.values())


def test_guessing_is_right_in_one_of_four() -> None:
    assert {len(question.choices) for question in SUITE} == {4}
    assert all(len(set(question.choices)) == 4 for question in SUITE)


def test_every_question_is_asked_once_and_has_a_name_of_its_own() -> None:
    assert len({question.id for question in SUITE}) == len(SUITE)
    assert len({(question.question, question.stem) for question in SUITE}) == len(SUITE)


def test_texts_are_whole() -> None:
    texts = [text for question in SUITE for text in (question.question, question.topic, *question.choices)]
    assert [text for text in texts if not text or text != text.strip()] == []
    assert [question.stem for question in SUITE if question.stem != question.stem.strip()] == []


def test_a_part_of_the_suite_keeps_the_share_of_every_category_and_topic() -> None:
    some = choose_questions(SUITE, 100)
    assert len({question.id for question in some}) == 100
    for key in ("category", "topic"):
        shares, all_shares = (Counter(getattr(question, key) for question in asked) for asked in (some, SUITE))
        assert all(abs(shares[value] - count / 4) <= 1 for value, count in all_shares.items())
    assert choose_questions(SUITE, None) == choose_questions(SUITE, 10 * len(SUITE)) == SUITE


def test_other_words_have_another_digest() -> None:
    changed = SUITE[0].model_copy(update={"wrong": ("Lyon", "Madrid", "Bern")})
    assert suite_digest(SUITE) == suite_digest(read_suite()) != suite_digest([changed, *SUITE[1:]])


def test_it_is_asked_without_an_instruction() -> None:
    assert {message["role"] for question in SUITE for message in question.prompt} == {"user"}


def test_it_comes_with_the_package() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["tasks"]
    files = [f"evaluate/suite/{category}.jsonl" for category in CATEGORIES]
    assert all(any(fnmatch(file, pattern) for pattern in patterns) for file in files)


def test_general_text_is_prose_and_says_where_it_is_from() -> None:
    text = read_general_text()
    assert text is not None
    assert re.fullmatch(r"pydoc_data\.topics of Python 3\.\d+\.\d+", text.source)
    assert text.digest == sha256_bytes(text.text.encode())
    paragraphs = text.text.split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)) >= 300
    assert [paragraph for paragraph in paragraphs if "::=" in paragraph or ">>>" in paragraph[:3] or len(paragraph.split()) < 20] == []


@pytest.mark.embedded
def test_general_text_has_twenty_thousand_tokens_for_the_embedded_model(tmp_path: Path) -> None:
    from pipeline_config.model import ModelConfig
    from tasks.evaluate.general_exam import BLOCK_TOKENS, prepare_exam
    from tasks.models import load_tokenizer

    exam = prepare_exam(None, 20_000)
    assert exam.text is not None
    blocks = exam.blocks(load_tokenizer(ModelConfig(), tmp_path))
    assert sum(len(block["completion_ids"]) for block in blocks) >= 20_000
    assert {len(block["prompt_ids"]) + len(block["completion_ids"]) for block in blocks} == {BLOCK_TOKENS}


def test_a_question_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="extra"):
        Question.model_validate({**SUITE[0].model_dump(), "answer": 1})
