"""Languages are told where there is enough text, and never guessed where there is not."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.languages import SHORTEST, detect_languages, known_languages

SENTENCES = {
    "en": "The printer on the third floor does not answer any more.",
    "de": "Der Drucker im dritten Stock antwortet seit heute nicht mehr.",
    "fr": "L'imprimante du troisième étage ne répond plus depuis ce matin.",
    "es": "La impresora del tercer piso no responde desde esta mañana.",
    "it": "La stampante al terzo piano non risponde più da stamattina.",
    "pl": "Drukarka na trzecim piętrze nie odpowiada od dzisiaj rana.",
    "no": "Skriveren i tredje etasje svarer ikke lenger, og vi må få skrevet ut.",
    "ru": "Принтер на третьем этаже сегодня больше не отвечает.",
    "ar": "الطابعة في الطابق الثالث لا تعمل منذ صباح اليوم",
    "ja": "三階のプリンターが今朝から動きません。",
    "zh": "三楼的打印机从今天早上开始就没有反应了。",
    "vi": "Máy in ở tầng ba không trả lời từ sáng nay.",
}


@pytest.mark.parametrize(("language", "sentence"), SENTENCES.items())
def test_tells_the_language_of_a_sentence(language: str, sentence: str) -> None:
    assert detect_languages([sentence]) == [language]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "ok danke",
        "4711 0815 123456789 2024-11-25 99.95 12:30",
        "https://example.com/path/to/some/long/document.html anna.schmidt@example.com",
        "Visa or Mastercard?",
    ],
)
def test_what_is_too_short_or_could_be_several_is_not_told(text: str) -> None:
    assert detect_languages([text]) == [None]


def test_letters_count_in_bytes_of_utf_8() -> None:
    word = "Drucker "
    least = -(-SHORTEST // 7)
    assert detect_languages([word * (least - 1)], shortest=7 * least) == [None]
    assert detect_languages(["プリンターが壊れ"], shortest=25) == [None]
    assert detect_languages(["プリンターが壊れ"], shortest=24) == ["ja"]


def test_the_end_of_a_long_text_is_not_read() -> None:
    assert detect_languages([SENTENCES["en"] * 3 + SENTENCES["ru"] * 50]) == ["en"]


def test_a_text_is_judged_alone() -> None:
    texts = list(SENTENCES.values())
    assert detect_languages(texts[::-1]) == detect_languages(texts)[::-1]


def test_works_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert detect_languages([SENTENCES["de"]]) == ["de"]


def test_every_language_is_a_code_of_two_letters() -> None:
    assert set(SENTENCES) < known_languages()
    assert all(len(code) == 2 and code.isalpha() for code in known_languages())


@given(texts=st.lists(st.text(max_size=200), max_size=5))
def test_any_text_has_a_known_language_or_none(texts: list[str]) -> None:
    found = detect_languages(texts)
    assert len(found) == len(texts)
    assert set(found) <= known_languages() | {None}
