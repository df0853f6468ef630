"""Personal data and secrets in columns of text: where they are, and the text without them.

A cheap expression over the whole column picks the rows that may hold a kind; only those are looked at closely. Nothing here logs or raises
with a text that was found, and nothing asks a network whether a secret is a live one.
"""

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple, get_args

import polars as pl
from detect_secrets.filters.heuristic import is_prefixed_with_dollar_sign, is_sequential_string, is_templated_secret
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from pipeline_config.data import SensitiveKind
from pipeline_config.errors import DataError
from tasks.identifiers import GAP, before, find_cards, find_ibans, find_national_ids, find_phones

Kind = SensitiveKind
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order of precedence: where two findings overlap, the one with the stronger check stays."""

FINDINGS = pl.Schema({"row": pl.Int64(), "kind": pl.String(), "start": pl.Int64(), "end": pl.Int64()})
"""`row` is an index into the series; `start` and `end` count characters, and `end` is the first one after the finding."""


class Span(NamedTuple):
    """A finding in one text: its kind, its first character and the first one after it."""

    kind: Kind
    start: int
    end: int


def find_sensitive(texts: pl.Series, kinds: Collection[Kind] = KINDS) -> pl.DataFrame:
    """Finds personal data and secrets.

    What stands between two findings is looked at again on its own, so that a masked text holds nothing more to find. A placeholder that is
    in a text already is never part of a finding.

    Args:
        texts: a column of text; null has nothing.
        kinds: what to look for.

    Returns:
        Columns of :data:`FINDINGS`, sorted by row and start; findings of one row do not overlap.

    Raises:
        DataError: the series does not hold text, or a kind is unknown.
    """
    if texts.dtype not in (pl.String, pl.Null):
        raise DataError(f"a series of {texts.dtype} cannot be screened", where=f"series {texts.name!r}", expected="text")
    if unknown := set(kinds) - set(KINDS):
        raise DataError(f"unknown kinds {sorted(unknown)}", expected=", ".join(KINDS))
    wanted = [kind for kind in KINDS if kind in kinds]
    found = [(row, *span) for row, text, candidates in _candidates(texts, wanted) for span in find_in_text(text, candidates)]
    return pl.DataFrame(found, schema=FINDINGS, orient="row")


def find_in_text(text: str, kinds: Collection[Kind] = KINDS) -> list[Span]:
    """What :func:`find_sensitive` finds in one text, without picking candidates first."""
    pending, spans = _between(len(text), [match.span() for match in PLACEHOLDER.finditer(text)]), []
    while pending:
        start, end = pending.pop()
        if found := _find_in_piece(text[start:end], kinds):
            spans += [Span(kind, start + first, start + last) for kind, first, last in found]
            pending += [(start + first, start + last) for first, last in _between(end - start, [span[1:] for span in found])]
    return sorted(spans, key=lambda span: span.start)


def may_hold(text: str, kinds: Collection[Kind]) -> bool:
    """Whether a text could hold one of these kinds: much faster than looking, and never false where one would be found."""
    return any(re.search(_CANDIDATES[kind], text) for kind in kinds)


def mask(text: str, spans: Iterable[tuple[str, int, int]]) -> str:
    """Puts `<EMAIL>`, `<CARD>` and so on in the place of each span (kind, start, end).

    Raises:
        ValueError: spans overlap, or reach beyond the text.
    """
    pieces, done = [], 0
    for kind, start, end in sorted(spans, key=lambda span: span[1:]):
        if not done <= start < end <= len(text):
            raise ValueError(f"the span from {start} to {end} overlaps another one, or the text's end at {len(text)}")
        pieces += [text[done:start], f"<{kind.upper()}>"]
        done = end
    return "".join([*pieces, text[done:]])


PLACEHOLDER = re.compile(f"<(?:{'|'.join(kind.upper() for kind in KINDS)})>")
"""What :func:`mask` puts in."""

_EMAIL = re.compile(
    r"(?<!\w)(?P<local>\w(?:[\w.%+'-]{0,62}[\w+-])?)@(?P<domain>(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+(?P<top>xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24}))",
    re.IGNORECASE,
)
"""RFC 5321's mailbox as people write it, in any script; no quoted local part."""
_FILE_ENDINGS = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "bmp", "css", "js", "jsx", "tsx", "html", "json", "txt"})
"""`logo@2x.png` is no address."""

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?<![\w.])(?<![A-Za-z][-/])(?:{_OCTET}\.){{3}}{_OCTET}(?!\w|-[A-Za-z]|\.\w)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?<=:)[0-9]{1,3}(?:\.[0-9]{1,3}){3})?(?![\w:]|\.\w)")
_IPV6_IN_USE = tuple(ipaddress.IPv6Network(net) for net in ("2000::/3", "fc00::/7", "fe80::/10", "::ffff:0:0/96", "64:ff9b::/96"))
"""What IANA has given out to hosts; `dead::beef` is more often a name in a program."""
_VERSION_WORD = re.compile(
    r"(?:(?<![^\W_])(?:v|ver|version|release|build|firmware|driver|update|upgrade|patch|section|chapter|clause|paragraph|figure|table|step"
    r"|kapitel|abschnitt|abs|artikel|article|schema|python|java|node|chrome|firefox)s?|§)(?:\W{0,3}(?:to|from|is|no|number))?\W{0,3}$",
    re.IGNORECASE,
)
_ADDRESS_WORD = re.compile(
    r"(?<![^\W_])(?:ip|ipv4|address|host|server|dns|ping|gateway|router|proxy|adresse|dirección)(?![^\W_])", re.IGNORECASE
)

_ASSIGNED = (
    "(?:(?:pass(?:word|wd|phrase|wort|code)|pwd|kennwort|contrase[nñ]a|mot de passe|secret"
    "|(?:api|auth|access|account|client|secret|private|service|encryption|signing|shared|storage|master|refresh|session)[_ -]?(?:key|token)"
    ")[\"'`\\]]{0,2} {0,3}(?::=|=>|={1,3}|:| is | ist | est | es )|pass ?=) {0,3}[\"'`]?"
)
_SECRET_VALUE = re.compile(
    rf"(?:{_ASSIGNED}(?:bearer )?|bearer )(?P<value>[^\s\"'`<>,;&({{\[$%~/](?:[^\s\"'`<>,;&]|[,;&](?![\w-]+[=:]|\s|$)){{7,199}})",
    re.IGNORECASE,
)
"""One word, up to the next parameter of a query or the next setting of a connection."""
_NAME = re.compile(r"[A-Za-z]+-[0-9]+|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_INDIRECT = re.compile(r"://|\w[(\[]|&(?:#[0-9]+|[lr][sd]quo|quot|apos|amp|[lg]t|nbsp);?$")
"""A ticket's number or a name in a program; an address, a call or the end of a quotation in HTML: what is written there is no secret."""
_ENTROPY = 2.5
"""Bits a character (Shannon) from which a value that was given as a password counts; eight different characters have 3."""
_STAND_INS = frozenset({"password", "passwd", "pass", "pwd", "pw", "secret", "token", "changeme", "yourpassword", "your_password", "xxx"})
_NAMED_TOKEN = re.compile(
    r"github_pat_[A-Za-z0-9_]{82}|npm_[A-Za-z0-9]{36}|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{34}|sk-(?:ant|proj|svcacct)-[A-Za-z0-9_-]{32,}"
    r"|[rs]k_test_[A-Za-z0-9]{16,}|xapp-[0-9]-[A-Za-z0-9]+-[0-9]+-[a-f0-9]+|whsec_[A-Za-z0-9]{32,}"
)
"""Forms that the issuers have introduced since detect-secrets' last release."""
_BOTH_CASES = re.compile("[a-z][A-Z].*[a-z][A-Z]")
_TOKEN_REST = re.compile(r"[\w.=-]*(?<!\.)")
_KEY_BEGIN = re.compile(r"-{4,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}|PuTTY-User-Key-File-[23]:")
_KEY_END = re.compile(r"-{4,5} ?END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}|Private-MAC: [0-9a-f]+")
_KEY_LINES = re.compile(r"(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]{16,})+")

_CANDIDATES: dict[Kind, str] = {
    "secret": (
        f"(?i){_ASSIGNED}|bearer "
        r"|aws[^\n]{0,20}(?:key|pw|pass|token)|://[^\s/]+:[^\s/]+@|PRIVATE KEY|putty-user-key|eyj[a-z0-9_=-]+\.|slack\.com/services"
        r"|[a-z0-9]{32}-us[0-9]|[0-9]{8}:[a-z0-9_-]{35}|(?:AC|SK)[a-z0-9]{32}|[MNO][a-z0-9_-]{23,25}\.[a-z0-9_-]{6}\.|_authToken"
        r"|(?:A3T.|ABIA|ACCA|AKIA|ASIA)[a-z0-9]{16}|accountkey=|T3BlbkFJ|AIza|GR1348941|sq0csp-|SG\.[a-z0-9_-]{22}|pypi-AgE"
        r"|(?:gh[oprsu]|github_pat|hf|npm|[rs]k_live|[rs]k_test|whsec)_|(?:gl[a-z]{2,5}|xox[a-z]|xapp|sk)-"
    ),
    "iban": f"[A-Za-z]{{2}}[0-9]{{2}}{GAP}?[A-Za-z0-9]{{4}}{GAP}?[A-Za-z0-9]{{4}}{GAP}?[A-Za-z0-9]{{3}}",
    "card": f"[0-9](?:{GAP}?[0-9]){{11}}",
    "national_id": (
        r"[0-9]{3}-[0-9]{2}-[0-9]{4}|(?is:(?:ssn|social security|bsn|burgerservice|sofi).*[0-9]{3})|[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}"
        r"|[0-9] ?[0-9]{2} ?[0-9]{2} ?[0-9][0-9AB] ?[0-9]{3}|[0-9]{7}-?[A-Z]|[A-Z]{2} ?(?:[0-9]{2} ?){3}[A-D]"
        r"|[A-Za-z]{6}[0-9L-Vl-v]{2}[A-Za-z][0-9L-Vl-v]{2}[A-Za-z]"
    ),
    "ip": r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|:[0-9A-Fa-f]{0,4}:",
    "email": r"[^ @]@[^ @]+\.",
    "phone": r"[0-9](?:[ \u00a0().\-/]{0,3}[0-9]){6}",
}
"""Without look-around and without borders: whatever a piece of a text can hold, the whole text shows."""


def _candidates(texts: pl.Series, kinds: list[Kind]) -> Iterator[tuple[int, str, list[Kind]]]:
    """Index, text and possible kinds of each row that may hold one."""
    if not kinds:
        return
    text = pl.col("text")
    rows = pl.DataFrame({"text": texts.cast(pl.String)}).with_row_index("row")
    hits = rows.with_columns(text.str.contains(_CANDIDATES[kind]).fill_null(False).alias(kind) for kind in kinds)
    for row, value, *flags in hits.filter(pl.any_horizontal(kinds)).iter_rows():
        yield row, value, [kind for kind, flag in zip(kinds, flags, strict=True) if flag]


def _find_in_piece(piece: str, kinds: Collection[Kind]) -> list[tuple[Kind, int, int]]:
    """One pass: what overlaps a finding of a stronger kind, or a longer one of its own, is left out."""
    chosen: list[tuple[Kind, int, int]] = []
    taken = bytearray(len(piece))
    for kind in (kind for kind in KINDS if kind in kinds):
        for start, end in sorted(_FINDERS[kind](piece), key=lambda found: found[0] - found[1]):
            if not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                chosen.append((kind, start, end))
    return chosen


def _between(length: int, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The places that the spans leave free in a text of this length."""
    borders = [0, *(border for span in sorted(spans) for border in span), length]
    return list(zip(borders[::2], borders[1::2], strict=True))


def _find_emails(text: str) -> Iterator[tuple[int, int]]:
    for match in _EMAIL.finditer(text):
        remote = match["local"] == "git" and re.match(r":[\w~./-]", text[match.end() : match.end() + 2])
        versioned = re.match(r"[0-9]+\.[0-9]", match["domain"])
        password = re.search(r"://[^\s/@]*:$", before(text, match.start()))
        if ".." not in match["local"] and match["top"].lower() not in _FILE_ENDINGS and not (remote or versioned or password):
            yield match.span()


def _find_ips(text: str) -> Iterator[tuple[int, int]]:
    for match in _IPV4.finditer(text):
        if _is_host(match.group(), before(text, match.start()), text[match.end() : match.end() + 1]):
            yield match.span()
    for match in _IPV6.finditer(text):
        if _is_ipv6_host(match.group()):
            yield match.span()


def _is_host(quad: str, preceding: str, following: str) -> bool:
    """Not this host, not a mask, and not the number of a version or a section: small ones count where an address is spoken of."""
    octets = [int(octet) for octet in quad.split(".")]
    if octets[0] in (0, 255) or quad == "127.0.0.1" or _VERSION_WORD.search(preceding):
        return False
    spoken = following in (":", "/") or preceding.endswith("//") or _ADDRESS_WORD.search(preceding) is not None
    return octets[0] > 9 or max(octets) > 99 or spoken


def _is_ipv6_host(text: str) -> bool:
    """An address by RFC 4291 in a range that is in use; eight groups of two digits are a hardware address."""
    try:
        address = ipaddress.IPv6Address(text)
    except ipaddress.AddressValueError:
        return False
    hardware = len(text) == 23 and all(len(group) == 2 for group in text.split(":"))
    return not hardware and any(address in network for network in _IPV6_IN_USE)


def _find_secrets(text: str) -> Iterator[tuple[int, int]]:
    yield from _find_private_keys(text)
    for line in re.finditer(r"[^\r\n]+", text):
        for start, end in (*_find_tokens(line.group()), *_find_assigned(line.group())):
            yield line.start() + start, line.start() + end


def _find_private_keys(text: str) -> Iterator[tuple[int, int]]:
    """Whole blocks, not their first line, and no first line without a key (RFC 7468)."""
    begins = list(_KEY_BEGIN.finditer(text))
    starts = [*(begin.start() for begin in begins), len(text)]
    for begin, limit in zip(begins, starts[1:], strict=True):
        closing = _KEY_END.search(text, begin.end(), limit)
        lines = _KEY_LINES.search(text, begin.end(), closing.start() if closing else limit)
        if lines and len(lines.group()) >= 40:
            yield begin.start(), closing.end() if closing else lines.end()


def _find_tokens(line: str) -> Iterator[tuple[int, int]]:
    """What detect-secrets' plugins match. Only their expressions are used: they verify nothing, and read no setting and no file."""
    for plugin in _PLUGINS:
        for match in (match for pattern in plugin.denylist for match in pattern.finditer(line)):
            if isinstance(plugin, JwtTokenDetector) and not plugin.is_formally_valid(match.group()):
                continue
            group = match.lastindex or 0 if isinstance(plugin, _WITH_CONTEXT) else 0
            if span := (_value_span(match, group) if group else _token_span(line, *match.span())):
                yield span
    for match in _NAMED_TOKEN.finditer(line):
        if span := _token_span(line, *match.span()):
            yield span


def _value_span(match: re.Match[str], group: int) -> tuple[int, int] | None:
    value = match[group].split()[0]
    return None if _is_stand_in(value) else (match.start(group), match.start(group) + len(value))


def _token_span(line: str, start: int, end: int) -> tuple[int, int] | None:
    """The whole token, when it starts where the match does and is not a row of x that stands for one."""
    rest = _TOKEN_REST.match(line, end)
    end = rest.end() if rest else end
    token = line[start:end]
    # One in thirty tokens of twenty characters has no digit; then letters of both cases, or capitals only, tell it from a word.
    mixed = any(character.isdigit() for character in token) or token.isupper() or _BOTH_CASES.search(token[4:])
    random = len(set(token)) >= 8 and mixed
    return (start, end) if random and not line[start - 1 : start].isalnum() else None


def _find_assigned(line: str) -> Iterator[tuple[int, int]]:
    """Values that are given as a password or a key and look like one."""
    for match in _SECRET_VALUE.finditer(line):
        value = match["value"].rstrip(".):]}")
        if len(value) >= 8 and _is_strong(value) and not _is_stand_in(value):
            yield match.start("value"), match.start("value") + len(value)


def _is_strong(value: str) -> bool:
    """Letters and digits, or letters of both cases with a symbol, in a mixture that a word, a name or a ticket's number has not."""
    if _INDIRECT.search(value) or _NAME.fullmatch(value) or _EMAIL.fullmatch(value):
        return False
    kinds = [bool(re.search(pattern, value)) for pattern in ("[a-z]", "[A-Z]", "[0-9]", r"[^\w\s./-]")]
    mixed = (kinds[2] and (kinds[0] or kinds[1])) or (kinds[0] and kinds[1] and kinds[3])
    return mixed and _entropy(value) >= _ENTROPY


def _entropy(value: str) -> float:
    """Shannon's entropy in bits a character (A Mathematical Theory of Communication, 1948)."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)


def _is_stand_in(value: str) -> bool:
    """Whether documentation puts this where a secret belongs."""
    return value.lower() in _STAND_INS or is_sequential_string(value) or is_templated_secret(value) or is_prefixed_with_dollar_sign(value)


_PLUGINS: tuple[RegexBasedDetector, ...] = (
    AWSKeyDetector(),
    AzureStorageKeyDetector(),
    BasicAuthDetector(),
    DiscordBotTokenDetector(),
    GitHubTokenDetector(),
    GitLabTokenDetector(),
    JwtTokenDetector(),
    MailchimpDetector(),
    NpmDetector(),
    OpenAIDetector(),
    PypiTokenDetector(),
    SendGridDetector(),
    SlackDetector(),
    SquareOAuthDetector(),
    StripeDetector(),
    TelegramBotTokenDetector(),
    TwilioKeyDetector(),
)
_WITH_CONTEXT = (AWSKeyDetector, BasicAuthDetector, NpmDetector)
"""Their expressions match more than the secret, which is their last group; in the others a group is a prefix."""

_FINDERS: dict[Kind, Callable[[str], Iterator[tuple[int, int]]]] = {
    "secret": _find_secrets,
    "iban": find_ibans,
    "card": find_cards,
    "national_id": find_national_ids,
    "ip": _find_ips,
    "email": _find_emails,
    "phone": find_phones,
}
