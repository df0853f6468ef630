"""Personal data and secrets are found where published rules say they are, and what only looks like them is left alone.

Every number is a published example or computed here. Tokens are put together, so that no scanner of repositories takes one for real.
"""

import itertools
import logging
import socket
import string
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_config.errors import DataError
from tasks.candidates import may_hold
from tasks.screening import FINDINGS, KINDS, Kind, find_in_text, find_sensitive, mask

LETTERS = "aB3dE5gH7jK9mN2pQ4sT6vW8xY1zC0fR"
"""Thirty-two different characters."""
HEX = "3f9a0c7be1d24586"
JWT = ".".join(
    ["eyJ" + "hbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0", "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"]
)
KEY = f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{LETTERS * 2}\n{LETTERS * 2}\n-----END RSA {'PRIVATE'} KEY-----"

POSITIVES: dict[Kind, list[tuple[str, str]]] = {
    "email": [
        ("write to bob@example.com, please", "bob@example.com"),
        ("(Anna.Maria+news@mail.example.co.uk)", "Anna.Maria+news@mail.example.co.uk"),
        ("mailto:sales@example.org.", "sales@example.org"),
        ("<o'brien@example.ie>", "o'brien@example.ie"),
        ("jürgen@müller.example", "jürgen@müller.example"),
        ("user_name-1@sub-domain.example.travel!", "user_name-1@sub-domain.example.travel"),
        ("x@example.io", "x@example.io"),
        ("from=a%2Bb@example.net&to=", "a%2Bb@example.net"),
        ("почта@пример.рф", "почта@пример.рф"),
        ("info@xn--bcher-kva.example", "info@xn--bcher-kva.example"),
        ("'quoted@example.com'", "quoted@example.com"),
    ],
    "phone": [
        ("call me: +1 415 555 2671", "+1 415 555 2671"),
        ("+14155552671", "+14155552671"),
        ("(415) 555-2671 is my number", "(415) 555-2671"),
        ("415-555-2671 x12", "415-555-2671"),
        ("tel:+44-20-7946-0958", "+44-20-7946-0958"),
        ("+44 (0)20 7946 0958", "+44 (0)20 7946 0958"),
        ("07700 900123 after six", "07700 900123"),
        ("020 7946 0958", "020 7946 0958"),
        ("+49 (0)30/1234567", "+49 (0)30/1234567"),
        ("0049 171 2345678", "0049 171 2345678"),
        ("0171 2345678", "0171 2345678"),
        ("06 12 34 56 78", "06 12 34 56 78"),
        ("+33.1.23.45.67.89", "+33.1.23.45.67.89"),
        ("Tel. 030 1234567", "030 1234567"),
        ("please call me back at 5551234567", "5551234567"),
        ("+91 98765 43210", "+91 98765 43210"),
        ("+1 415 555 2671 2 times today", "+1 415 555 2671"),
    ],
    "card": [
        ("4111111111111111", "4111111111111111"),
        ("pay with 4012-8888-8888-1881 now", "4012-8888-8888-1881"),
        ("5555 5555 5555 4444 12/26 123", "5555 5555 5555 4444"),
        ("mc 2223003122003222", "2223003122003222"),
        ("3782 822463 10005", "3782 822463 10005"),
        ("371449635398431.", "371449635398431"),
        ("6011000990139424", "6011000990139424"),
        ("my card 30569309025904", "30569309025904"),
        ("Diners 3852 000002 3237", "3852 000002 3237"),
        ("3530111333300000", "3530111333300000"),
        ("6200000000000005", "6200000000000005"),
        ("6759649826438453", "6759649826438453"),
        ("old visa card 4222222222222", "4222222222222"),
        ("2026 4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("4111\u00a01111\u00a01111\u00a01111", "4111\u00a01111\u00a01111\u00a01111"),
    ],
    "iban": [
        *((example, example) for example in ("AT611904300234573201", "NO9386011117947", "MT84MALT011000012345MTLCAST001S")),
        ("DE89 3704 0044 0532 0130 00 bitte", "DE89 3704 0044 0532 0130 00"),
        ("to GB29 NWBK 6016 1331 9268 19.", "GB29 NWBK 6016 1331 9268 19"),
        ("FR14-2004-1010-0505-0001-3M02-606", "FR14-2004-1010-0505-0001-3M02-606"),
        ("nl91abna0417164300", "nl91abna0417164300"),
        ("IBAN:CH9300762011623852957;", "CH9300762011623852957"),
        ("be68 5390 0754 7034", "be68 5390 0754 7034"),
        ("ES91\u00a02100\u00a00418\u00a04502\u00a00005\u00a01332", "ES91\u00a02100\u00a00418\u00a04502\u00a00005\u00a01332"),
        ("IT60X0542811101000000123456 12", "IT60X0542811101000000123456"),
    ],
    "ip": [
        ("from 192.168.0.12:8080", "192.168.0.12"),
        ("10.0.0.0/8 is private", "10.0.0.0"),
        ("http://203.0.113.7/index", "203.0.113.7"),
        ("my IP address is 8.8.8.8", "8.8.8.8"),
        ("172.16.254.1.", "172.16.254.1"),
        ("[198.51.100.23]", "198.51.100.23"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1ff:fe23:4567:890a%eth0", "fe80::1ff:fe23:4567:890a"),
        ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
        ("::ffff:192.0.2.128", "::ffff:192.0.2.128"),
        ("[fd12:3456:789a::1]:443", "fd12:3456:789a::1"),
    ],
    "national_id": [
        ("SSN 219-09-9998", "219-09-9998"),
        ("social security number 457555462", "457555462"),
        ("AB 12 34 56 C", "AB 12 34 56 C"),
        ("NI: AB123456C", "AB123456C"),
        ("Steuer-ID 86 095 742 719", "86 095 742 719"),
        ("47036892816", "47036892816"),
        ("2 55 08 14 168 025 38", "2 55 08 14 168 025 38"),
        ("184127645108946", "184127645108946"),
        ("DNI 12345678Z", "12345678Z"),
        ("X1234567L", "X1234567L"),
        ("Y-1234567-X", "Y-1234567-X"),
        ("CF RSSMRA85T10A562S", "RSSMRA85T10A562S"),
        ("BSN 111222333", "111222333"),
        ("pesel 44051401359", "44051401359"),
    ],
    "secret": [
        ("key AKIA" + "IOSFODNN7EXAMPLE", "AKIA" + "IOSFODNN7EXAMPLE"),
        (f"aws_secret_access_key = {LETTERS}/+aB4d6F", f"{LETTERS}/+aB4d6F"),
        (f"before\n{KEY}\nafter", KEY),
        (f"ghp_{LETTERS}AbCd", f"ghp_{LETTERS}AbCd"),
        (f"github_pat_{(LETTERS * 3)[:82]}", f"github_pat_{(LETTERS * 3)[:82]}"),
        (f"glpat-{LETTERS[:20]}", f"glpat-{LETTERS[:20]}"),
        (f"xoxb-123456789012-{LETTERS[:24].lower()}", f"xoxb-123456789012-{LETTERS[:24].lower()}"),
        (f"sk_live_{LETTERS[:24]}", f"sk_live_{LETTERS[:24]}"),
        (f"AC{HEX * 2}", f"AC{HEX * 2}"),
        (f"SG.{LETTERS[:22]}.{(LETTERS * 2)[:43]}", f"SG.{LETTERS[:22]}.{(LETTERS * 2)[:43]}"),
        (f"npm_{LETTERS}aB3d", f"npm_{LETTERS}aB3d"),
        (f"pypi-AgEIcHlwaS5vcmc{LETTERS * 3}", f"pypi-AgEIcHlwaS5vcmc{LETTERS * 3}"),
        (f"sk-{LETTERS[:20]}T3BlbkFJ{LETTERS[:20]}", f"sk-{LETTERS[:20]}T3BlbkFJ{LETTERS[:20]}"),
        (f"AccountKey={(LETTERS * 3)[:86]}==;", f"AccountKey={(LETTERS * 3)[:86]}=="),
        (f"token {JWT}.", JWT),
        ("postgres://app:s3cr3tPw@db.example/x", "s3cr3tPw"),
        ("password=Tr0ub4dor&3 is mine", "Tr0ub4dor&3"),
        ('DB_PASSWORD: "correct-Horse7"', "correct-Horse7"),
        ("https://x.example/?api_key=9f8e7d6c5b4a&user=1", "9f8e7d6c5b4a"),
        ("my password is Sommer2024!", "Sommer2024!"),
        (f"Authorization: Bearer {LETTERS}", LETTERS),
    ],
}

NEGATIVES: dict[Kind, list[str]] = {
    "email": [
        "thanks @bob, see you",
        "user@localhost",
        "logo@2x.png",
        "git clone git@github.com:org/repo.git",
        "npm install react@18.2.0",
        "pip install pkg@1.2.3-beta.next",
        "a @ b . com",
        "@pytest.mark.slow",
        "5 apples @ 1.50",
        "bob@example",
        "bob..smith@@example.com",
        "meet me@work today.",
    ],
    "phone": [
        "order 123-4567890-1234567",
        "invoice 415-555-2671",
        "2024-01-15 10:30:00",
        "01.02.2024",
        "ISBN 978-3-16-148410-0",
        "0-306-40615-2",
        "00:1A:2B:3C:4D:5E",
        "1700000000000",
        "12345678901234567890",
        "between 3+14155552671 and 7",
        "411-555-2671",
        "415-155-2671",
        "48.85837, +2.29448 and +40.741895123",
        "the year 2023 2024 2025",
        "call me on 2024-01-15",
        "UTC+02:00 or +0200",
        "0049301234567",
        "+999 123 456 789",
    ],
    "card": [
        "4111111111111112",
        "4111 1111 1111 1112",
        "1234567812345670",
        "order number 4111111111111111",
        "ORD-4111111111111111",
        "4222222222222",
        "4006381333931",
        "41111111111111111111111",
        "a4111111111111111",
        "1.4111111111111111",
        "4111 11111111 1111",
        "4111-1111 1111-1111",
        "20240115103000123",
        "0000000000000000",
        "550e8400-e29b-41d4-a716-446655440000",
    ],
    "iban": [
        "DE89370400440532013001",
        "GB28NWBK60161331926819",
        "DE8937040044053201300",
        "DE893704004405320130000",
        "XX89370400440532013000",
        "DE89 370 40044 0532 0130 00",
        "FR1420041010050500013M02607",
        "NL91ABN10417164300",
        "ADE89370400440532013000",
        "US12345678901234567890",
        "NO00860111179471",
        "AT61 1904 3002 3457 3202",
    ],
    "ip": [
        "version 1.2.3.4",
        "v10.20.30.40",
        "Chrome/120.0.0.0 Safari",
        "127.0.0.1 and 0.0.0.0",
        "mask 255.255.255.0",
        "256.1.1.1",
        "1.3.6.1.4.1.311",
        "section 1.2.3.4",
        "package-11.22.33.44.tar",
        "12:30:45",
        "00:1A:2B:3C:4D:5E",
        "00:11:22:33:44:55:66:77",
        "std::vector and dead::beef",
        "::1",
        "01.02.03.04",
        "see 1.2.3.4 below",
        "Git 1.7.12.2",
        "upgrade from 11.22.33.44",
    ],
    "national_id": [
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "123-00-4567",
        "123-45-0000",
        "078-05-1120",
        "123456789",
        "part number 123-45-6789",
        "BG 12 34 56 C",
        "QQ123456C",
        "AB123456E",
        "86095742718",
        "12345678901",
        "255081416802539",
        "12345678A",
        "X1234567A",
        "RSSMRA85T10A562T",
        "111222333",
        "BSN 111222334",
        "44051401358",
        "ticket #44051401359",
        "tracking no. 47036892816",
    ],
    "secret": [
        "d41d8cd98f00b204e9800998ecf8427e",
        "commit 9ffe6b8c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f60",
        f"sha256:{HEX * 4}",
        "550e8400-e29b-41d4-a716-446655440000",
        "password: forgotten",
        "I forgot my password: help please",
        "password=********",
        "password = os.environ['PW']",
        "password = get_password(user1)",
        "secret: COVID-19 measures",
        "api_key = ${API_KEY_1}",
        "api_key=<your key 1>",
        "password: see JIRA-1234",
        "password=xxxxxxxx1",
        "the token: 1234567890",
        "order AB12CD34EF56",
        "https://user:password@example.com",
        "http://example.com:8080/a@b",
        "ghp_" + "x" * 36,
        f"what does -----BEGIN RSA {'PRIVATE'} KEY----- mean?",
        "task-force risk-adjusted",
        "secret santa in room B12",
        "eyJhbGciOi.not-a-token",
        "password reset at https://example.com/reset1",
        "password: bob99",
        "&ldquo;secret:12345678&rdquo;",
    ],
}


def found(text: str, kinds: Sequence[Kind] = KINDS) -> list[tuple[str, str]]:
    """Kind and text of each finding, through the whole column's way."""
    return [(kind, text[start:end]) for _, kind, start, end in find_sensitive(pl.Series([text]), kinds).iter_rows()]


@pytest.mark.parametrize(("kind", "text", "expected"), [(kind, *case) for kind, cases in POSITIVES.items() for case in cases])
def test_it_is_found_with_its_exact_borders(kind: Kind, text: str, expected: str) -> None:
    assert found(text) == [(kind, expected)]


@pytest.mark.parametrize("text", [text for texts in NEGATIVES.values() for text in texts])
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_each_kind_has_ten_of_each() -> None:
    assert min(len(POSITIVES[kind]) for kind in KINDS) >= 10
    assert all(len(NEGATIVES[kind]) >= len(POSITIVES[kind]) for kind in KINDS)


def test_the_stronger_check_stays_where_findings_overlap() -> None:
    assert found("api_key: AT611904300234573201") == [("secret", "AT611904300234573201")]
    assert found("call 4111 1111 1111 1111") == [("card", "4111 1111 1111 1111")]
    assert found("ftp://bob:pa55@files.example.com") == [("secret", "pa55")]
    assert found("4155552671@sms.example.com") == [("email", "4155552671@sms.example.com")]


def test_what_a_finding_had_hidden_is_found_as_well() -> None:
    text = "version bob@example.com 10.20.30.40"
    assert mask(text, find_in_text(text)) == "version <EMAIL> <IP>"


def test_a_series_with_nulls_keeps_its_row_numbers() -> None:
    texts = pl.Series("notes", [None, "bob@example.com", "", None, "a b@example.com c d@example.com"])
    assert find_sensitive(texts).rows() == [(1, "email", 0, 15), (4, "email", 2, 15), (4, "email", 18, 31)]


@pytest.mark.parametrize("texts", [pl.Series([], dtype=pl.String), pl.Series([None, None]), pl.Series(["plain"])])
def test_a_series_without_findings_gives_an_empty_table(texts: pl.Series) -> None:
    assert find_sensitive(texts).schema == FINDINGS
    assert find_sensitive(texts).is_empty()


def test_only_the_kinds_that_are_asked_for() -> None:
    assert found("bob@example.com 10.0.0.1", ["ip"]) == [("ip", "10.0.0.1")]
    assert found("bob@example.com", []) == []


def test_what_cannot_be_screened_is_named() -> None:
    with pytest.raises(DataError, match="Int64"):
        find_sensitive(pl.Series([4111111111111111]))
    with pytest.raises(DataError, match="name"):
        find_sensitive(pl.Series(["x"]), ["name"])  # type: ignore[list-item]


def test_no_error_shows_the_text() -> None:
    with pytest.raises(ValueError, match="overlaps") as caught:
        mask("bob@example.com", [("email", 0, 15), ("email", 3, 9)])
    assert "bob" not in str(caught.value)
    with pytest.raises(ValueError, match="15"):
        mask("bob@example.com", [("email", 0, 16)])


def test_every_kind_has_its_placeholder() -> None:
    for kind, cases in POSITIVES.items():
        text, expected = cases[0]
        assert mask(text, find_in_text(text)) == text.replace(expected, f"<{kind.upper()}>")


def test_nothing_is_logged_and_no_network_is_asked(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    with caplog.at_level(logging.DEBUG):
        assert not find_sensitive(pl.Series([text for text, _ in POSITIVES["secret"]])).is_empty()
    assert caplog.records == []


def test_a_home_folder_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    assert found(POSITIVES["secret"][0][0]) != []


SNIPPETS = [*(text for cases in POSITIVES.values() for text, _ in cases), *(text for texts in NEGATIVES.values() for text in texts)]
GLUE = ["", " ", "\n", ", ", "-", ".", "@", ":", "=", "🎉", "é", "e\u0301", "👩‍👩‍👧", "<", ">", "1", "z"]
CONTEXT = ["<EMAIL>", "password=", "version ", "call ", "order ", "card "]
MIXED = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.sampled_from(GLUE + CONTEXT), st.text(max_size=6)), max_size=6).map("".join)


@given(MIXED)
@settings(max_examples=2 * settings().max_examples)
def test_a_masked_text_holds_nothing_more(text: str) -> None:
    masked = mask(text, find_in_text(text))
    assert find_in_text(masked) == []
    assert found(masked) == []


@given(MIXED, st.sets(st.sampled_from(KINDS)))
def test_that_holds_for_some_kinds_alone(text: str, kinds: set[Kind]) -> None:
    assert find_in_text(mask(text, find_in_text(text, kinds)), kinds) == []


@given(MIXED)
@settings(max_examples=2 * settings().max_examples)
def test_picking_candidates_first_misses_nothing(text: str) -> None:
    rows = find_sensitive(pl.Series([text, None, text])).rows()
    spans = [tuple(span) for span in find_in_text(text)]
    assert rows == [(row, *span) for row in (0, 2) for span in spans]
    assert all(may_hold(text, [span.kind]) for span in find_in_text(text))


@given(MIXED)
def test_findings_are_sorted_and_do_not_overlap(text: str) -> None:
    spans = find_in_text(text)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(first.end <= second.start for first, second in itertools.pairwise(spans))


@given(st.text(alphabet="🎉é\u0301👩‍👧 \u200d字", max_size=8), st.text(alphabet="🎉\u0301 👩‍👧字", max_size=8))
def test_offsets_count_characters(before: str, after: str) -> None:
    text = f"{before} bob@example.com {after}"
    assert found(text) == [("email", "bob@example.com")]
    assert mask(text, find_in_text(text)) == f"{before} <EMAIL> {after}"


@given(st.text(alphabet=string.ascii_letters + " ,.!?é🎉\n", max_size=60))
def test_a_text_without_findings_is_unchanged(text: str) -> None:
    assert find_in_text(text) == []
    assert mask(text, []) == text
