"""Secrets in texts: keys and tokens by the forms of their issuers, private keys, and values that are given as a password.

Nothing here asks a network whether a secret is a live one, and nothing logs or raises with one.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator

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

from tasks.addresses import is_email

ASSIGNED = (
    "(?:(?:pass(?:word|wd|phrase|wort|code)|pwd|kennwort|contrase[nñ]a|mot de passe|secret"
    "|(?:api|auth|access|account|client|secret|private|service|encryption|signing|shared|storage|master|refresh|session)[_ -]?(?:key|token)"
    ")[\"'`\\]]{0,2} {0,3}(?::=|=>|={1,3}|:| is | ist | est | es )|pass ?=) {0,3}[\"'`]?"
)
_SECRET_VALUE = re.compile(
    rf"(?:{ASSIGNED}(?:bearer )?|bearer )(?P<value>[^\s\"'`<>,;&({{\[$%~/](?:[^\s\"'`<>,;&]|[,;&](?![\w-]+[=:]|\s|$)){{7,199}})",
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
_TOKEN = re.compile(r"[A-Za-z0-9_+/=-]{12}")
"""All issuers' forms have a run as long as this, but for a password in an address."""
_BOTH_CASES = re.compile("[a-z][A-Z].*[a-z][A-Z]")
_TOKEN_REST = re.compile(r"[\w.=-]*(?<!\.)")
_KEY_BEGIN = re.compile(r"-{4,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}|PuTTY-User-Key-File-[23]:")
_KEY_END = re.compile(r"-{4,5} ?END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}|Private-MAC: [0-9a-f]+")
_KEY_LINES = re.compile(r"(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]{16,})+")


def find_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where secrets stand in a text; they may overlap."""
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
    if not _TOKEN.search(line) and "://" not in line:
        return
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
    if _INDIRECT.search(value) or _NAME.fullmatch(value) or is_email(value):
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
