"""What may not change is found, what may is left free, and two wordings are compared by what it means."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.augment.protected import protected_spans, protected_texts

FOUND = [
    ("I paid £1,000.00 for it", ["£1,000.00"]),
    ("it took 3 working days and 20 minutes", ["3", "20 minutes"]),
    ("a 50% discount of $ 5 on 12/03/2021 at 10:30 am", ["50%", "$ 5", "12/03/2021", "10:30 am"]),
    ("wait 24hrs, 2nd try, -5 degrees, 1,5 kg", ["24hrs", "2nd", "-5 degrees", "1,5 kg"]),
    ("two of them on monday, one tomorrow, the second later", ["two", "monday", "one", "tomorrow", "second"]),
    ("twenty-five euros in 1000 GBP", ["twenty-five euros", "1000 GBP"]),
    ("does it work with Apple Pay in the UK or on an iPhone", ["Apple", "Pay", "UK", "iPhone"]),
    ("Hello. My card is fine. I think Bob's is not", ["Bob's", "not"]),
    ("Ask Mr. Smith of the U.S. Bank", ["Ask", "Mr", "Smith", "U.S", "Bank"]),
    ("Apple Pay is off", ["Apple", "Pay"]),
    ("PIN forgotten", ["PIN"]),
    ("I can't, couldn’t and wont go without it, never", ["can't", "couldn’t", "wont", "without", "never"]),
    ("no reply, nor anything: nothing", ["no", "nor", "nothing"]),
    ("run `rm -rf x` in /usr/lib/x.py or ~/bin/go", ["`rm -rf x`", "/usr/lib/x.py", "~/bin/go"]),
    ("call foo_bar or os.path.join or main() with --no-cache", ["foo_bar", "os.path.join", "main()", "--no-cache"]),
    ("write to a.b@example.com, or https://example.com/a?b=1.", ["a.b@example.com", "https://example.com/a?b=1"]),
    ("see www.example.com, or example.org.", ["www.example.com", "example.org"]),
    ("open readme.md for order XK-2041 of @bob #42", ["readme.md", "XK-2041", "@bob", "#42"]),
    ("dear <EMAIL>, {name}, {{ x }}, ${VAR}", ["<EMAIL>", "{name}", "{{ x }}", "${VAR}"]),
    ("$USER has %s and %(n)d for [ORDER]", ["$USER", "%s", "%(n)d", "[ORDER]"]),
    ("<|im_end|> and [INST] and <<SYS>> and </s>", ["<|im_end|>", "[INST]", "<<SYS>>", "</s>"]),
    ("```\nany code\n``` then", ["```\nany code\n```"]),
]  # fmt: skip
FREE = [
    "my card and/or the app is broken",
    "What can I do? Is it me. Please tell me! Thanks",
    "e.g. this; the notion of a knot, another noise",
    "I'm here and I'd go; Can I? Yes: I will",
    "a < b and c > d",
]


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_what_may_not_change_is_found(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in protected_spans(text)] == expected


@pytest.mark.parametrize("text", FREE)
def test_ordinary_words_are_free(text: str) -> None:
    assert protected_spans(text) == []
    assert protected_texts(text) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("it cost £1,000.00", "that was 1000 GBP"),
        ("I paid 1000 pounds", "£1000 is what I paid"),
        ("I have two cards", "there are 2 cards"),
        ("wait twenty-one days", "21 days to wait"),
        ("it took 5 hrs", "5 hours it took"),
        ("it does not work", "it doesn't work"),
        ("I cannot log in", "I can't log in"),
        ("I have no money", "I don't have money"),
        ("on Monday with VISA", "with Visa on monday"),
        ("is Bob's card fine", "the card of Bob is fine"),
        ("wait a second, one moment", "wait a moment"),
        ("Why Is My Card Declined By You", "why did you decline my card"),
        ("WHY DID MY CARD STOP", "why did my card stop"),
    ],
)
def test_wordings_that_keep_everything_have_the_same_texts(one: str, other: str) -> None:
    assert protected_texts(one) == protected_texts(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("it cost £10", "it cost £100"),
        ("it cost £10", "it cost 10"),
        ("it took 5 hours", "it took 5 minutes"),
        ("it is 1.5", "it is 15"),
        ("I have two cards", "I have three cards"),
        ("it works", "it does not work"),
        ("it does not work", "it does not not work"),
        ("pay with Visa", "pay with Amex"),
        ("dear {name}", "dear {Name}"),
        ("use `foo`", "use foo"),
        ("on monday", "on tuesday"),
        ("today", "tomorrow"),
        ("it was -5", "it was 5"),
    ],
)
def test_wordings_that_lose_something_differ(one: str, other: str) -> None:
    assert protected_texts(one) != protected_texts(other)


@given(st.text(alphabet=st.sampled_from("aB1 .,-'’@#$%<>{}[]|`/\\_:£n\n"), max_size=60))
def test_spans_are_sorted_apart_and_inside_the_text(text: str) -> None:
    spans = protected_spans(text)

    borders = [border for span in spans for border in span]
    assert borders == sorted(set(borders))
    assert all(0 <= border <= len(text) for border in borders)
    assert sum(protected_texts(text).values()) >= 0


@given(st.text(max_size=80))
def test_any_text_can_be_looked_at(text: str) -> None:
    assert all(text[start:end] for start, end in protected_spans(text))
    assert protected_texts(text) == protected_texts(text)


@pytest.mark.parametrize("unit", ["a.", "a-", "1,", "{a", "<a", "a@", "/a", "a_", "A. ", "A'", "[a", "--a ", "n't ", "`"])
def test_time_grows_with_length_and_no_faster(unit: str) -> None:
    def seconds(many: int) -> float:
        start = time.process_time()
        protected_spans(unit * many)
        return time.process_time() - start

    assert seconds(8_000) < 40 * max(seconds(800), 0.002)  # a square would be 100 times as much
