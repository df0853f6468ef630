"""Personal data and secrets in their published forms, and look-alikes of each that are none.

Numbers are made up. Phone numbers come from the blocks that regulators keep free for films and books, mail domains from RFC 2606, half of
the addresses from RFC 5737 and RFC 3849. Bodies of tokens are random: none has ever been issued.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from benchmarks.composing import pick

_DIGITS = "0123456789"
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALNUM = _DIGITS + _UPPER + _UPPER.lower()
_HEX = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Specimen:
    """A value, and a sentence that holds it word for word."""

    sentence: str
    value: str


def letters(rng: Random, alphabet: str, length: int) -> str:
    """A random text over the alphabet."""
    return "".join([pick(rng, alphabet) for _ in range(length)])


def luhn_digit(payload: str) -> str:
    """The check digit that follows the payload: ISO/IEC 7812-1, annex B.

    Every second digit counts double, starting with the last of the payload; of two-digit products the digits are added.
    """
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in payload[::-2]]
    return str(-(sum(doubled) + sum(int(digit) for digit in payload[-2::-2])) % 10)


def iban_check(country: str, account: str) -> str:
    """The two check digits: ISO 13616-1, with the remainder of ISO 7064 MOD 97-10; letters count from A = 10."""
    number = "".join(str(int(sign, 36)) for sign in f"{account}{country}00")
    return f"{98 - int(number) % 97:02d}"


def dni_letter(number: int) -> str:
    """The letter of a Spanish identity number: the remainder by 23 picks it (Real Decreto 1553/2005)."""
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23]


def tax_id_digit(ten: str) -> str:
    """The last digit of a German tax id: ISO 7064 MOD 11,10 over the ten before it."""
    product = 10
    for digit in ten:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return str((11 - product) % 10)


def _grouped(text: str, sizes: tuple[int, ...], between: str) -> str:
    parts, start = [], 0
    for size in sizes:
        parts.append(text[start : start + size])
        start += size
    return between.join(part for part in [*parts, text[start:]] if part)


_CARDS = (  # prefixes of the issuers in ISO/IEC 7812, length, usual groups
    (("4",), 16, (4, 4, 4)),
    (tuple(str(prefix) for prefix in (51, 52, 53, 54, 55, 2221, 2720, 2345)), 16, (4, 4, 4)),
    (("34", "37"), 15, (4, 6)),
    (("6011", "65"), 16, (4, 4, 4)),
    (("36",), 14, (4, 6)),
    (("3528", "3589"), 16, (4, 4, 4)),
)


def _card(rng: Random, shift: int = 0, groups: bool = True) -> str:
    """A shift from 1 to 9 spoils the check digit."""
    prefixes, length, sizes = pick(rng, _CARDS if groups else _CARDS[:2])
    prefix = pick(rng, prefixes)
    payload = prefix + letters(rng, _DIGITS, length - len(prefix) - 1)
    number = payload + str((int(luhn_digit(payload)) + shift) % 10)
    between = pick(rng, ("", " ", " ", "-")) if groups else ""
    return _grouped(number, sizes, between) if between else number


_IBAN_STRUCTURES = {
    "AT": "16n", "BE": "12n", "CH": "5n12c", "DE": "18n", "DK": "14n", "ES": "20n", "FI": "14n", "FR": "10n11c2n", "GB": "4a14n",
    "IE": "4a14n", "IT": "1a10n12c", "LU": "3n13c", "NL": "4a10n", "NO": "11n", "PL": "24n", "PT": "21n", "SE": "20n",
}  # fmt: skip
"""Account parts in the notation of the ISO 13616 registry: n digits, a capitals, c either."""
_ALPHABETS = {"n": _DIGITS, "a": _UPPER, "c": _DIGITS + _UPPER}


def _iban(rng: Random, shift: int = 0) -> str:
    """A shift from 1 to 96 spoils the check digits."""
    country = pick(rng, tuple(_IBAN_STRUCTURES))
    runs = re.findall(r"(\d+)([nac])", _IBAN_STRUCTURES[country])
    account = "".join(letters(rng, _ALPHABETS[kind], int(length)) for length, kind in runs)
    check = (int(iban_check(country, account)) - 2 + shift) % 97 + 2
    whole = f"{country}{check:02d}{account}"
    return _grouped(whole, (4,) * 8, " ") if rng.random() < 0.6 else whole


_FIRST = ("ana", "bruno", "chloe", "dario", "eva", "frank", "greta", "hugo", "irene", "jon", "kim", "lena", "mats", "nora", "omar", "petra")
_LAST = ("abel", "brandt", "costa", "diaz", "egger", "fontana", "grau", "hahn", "ivers", "jung", "klein", "lund", "meyer", "novak", "ortiz")
_HOSTS = ("example.com", "example.org", "example.net", "mail.example.com", "post.example.org", "north-lab.example", "city-library.example")


def _email(rng: Random) -> str:
    """A dot-atom before the @ and a domain after it: RFC 5322, section 3.4.1."""
    first, last, number = pick(rng, _FIRST), pick(rng, _LAST), letters(rng, _DIGITS, 2)
    local = pick(
        rng,
        (f"{first}.{last}", f"{first}{number}", f"{first[0]}{last}", f"{first}_{last}{number}", f"{first}.{last}+shop", f"{last}-{first}"),
    )
    address = f"{local}@{pick(rng, _HOSTS)}"
    return address.title() if rng.random() < 0.08 else address


_PHONES: tuple[tuple[str, str, tuple[str, ...]], ...] = (  # country code, trunk prefix, numbers with # for a free digit
    ("+1", "", ("({area}) 555-01##", "{area}-555-01##", "{area}.555.01##")),
    ("+44", "0", ("20 7946 0###", "7700 900###", "1632 960###", "161 496 0###")),
    ("+49", "0", ("30 23125 ###", "69 90009 ###", "221 4710 ###", "40 66969###", "171 39200##")),
    ("+33", "0", ("1 99 00 ## ##", "6 39 98 ## ##", "2 61 91 ## ##", "4 65 71 ## ##")),
    ("+353", "0", ("20 91# ####",)),
    ("+61", "0", ("2 5550 ####", "3 7010 ####")),
    ("+46", "0", ("8-465 004 ##", "31-390 06 ##")),
)
"""Blocks kept for fiction by NANPA (555-01xx), Ofcom, BNetzA, Arcep, ComReg, ACMA and PTS."""


def _phone(rng: Random) -> str:
    """International as ITU-T E.164 has it, in groups or without, or as it is written in the country."""
    code, trunk, forms = pick(rng, _PHONES)
    written = pick(rng, forms).replace("{area}", pick(rng, "23456789") + letters(rng, _DIGITS[2:], 2))
    number = "".join(pick(rng, _DIGITS) if sign == "#" else sign for sign in written)
    bare = re.sub(r"\D", "", number)
    return pick(rng, (f"{trunk}{number}", f"{trunk}{number}", f"{code} {number}", f"{code}{bare}", f"{code} {bare}"))


def _ip(rng: Random) -> str:
    shapes = (_documentation_v4, _public_v4, _v6)
    return pick(rng, shapes)(rng)


def _documentation_v4(rng: Random) -> str:
    return f"{pick(rng, ('192.0.2', '198.51.100', '203.0.113'))}.{1 + int(rng.random() * 254)}"


def _public_v4(rng: Random) -> str:
    """First octets from blocks that hold neither private nor reserved ranges."""
    return ".".join([pick(rng, ("23", "51", "62", "81", "93", "145", "178", "213")), *(str(int(rng.random() * 256)) for _ in range(3))])


def _v6(rng: Random) -> str:
    """In full, or shortened as RFC 5952 asks; from the documentation block of RFC 3849."""
    groups = [pick(rng, _HEX[1:]) + letters(rng, _HEX, 3) for _ in range(6)]
    return pick(rng, (":".join(["2001", "0db8", *groups]), f"2001:db8::{groups[0]}", f"2001:db8:{groups[0]}::{groups[1]}:{groups[2]}"))


def _ssn(rng: Random, area: str = "") -> str:
    """Areas 000, 666 and 900 up, group 00 and serial 0000 are never given out (US Social Security Administration)."""
    number = 1 + int(rng.random() * 898)
    area = area or f"{number + (number >= 666):03d}"
    return pick(rng, ("-", "-", " ")).join((area, f"{1 + int(rng.random() * 99):02d}", f"{1 + int(rng.random() * 9999):04d}"))


def _dni(rng: Random, shift: int = 0) -> str:
    """Eight digits and a letter, or the number of a foreigner, whose X, Y or Z counts as 0, 1 or 2."""
    if rng.random() < 0.3:
        first, rest = int(rng.random() * 3), letters(rng, _DIGITS, 7)
        return f"{'XYZ'[first]}{rest}{dni_letter(int(f'{first}{rest}') + shift)}"
    number = int(rng.random() * 10**8)
    return f"{number:08d}{pick(rng, ('', '', '-'))}{dni_letter(number + shift)}"


def _tax_id(rng: Random, shift: int = 0) -> str:
    """Among the first ten digits one occurs twice and one is missing; the first is not 0 (German Federal Central Tax Office)."""
    order = sorted(_DIGITS, key=lambda _: rng.random())
    ten = [*order[:9], pick(rng, order[:9])]
    if ten[0] == "0":
        ten[0], ten[1] = ten[1], ten[0]
    first_ten = "".join(ten)
    whole = first_ten + str((int(tax_id_digit(first_ten)) + shift) % 10)
    return _grouped(whole, (2, 3, 3), " ") if rng.random() < 0.5 else whole


_NATIONAL_IDS: tuple[tuple[str, Callable[[Random], str]], ...] = (("social security number", _ssn), ("DNI", _dni), ("tax id", _tax_id))


def _national_id(rng: Random) -> Specimen:
    name, make = pick(rng, _NATIONAL_IDS)
    value = make(rng)
    return Specimen(
        pick(rng, (f"My {name} is {value}.", f"{name[0].upper()}{name[1:]}: {value}.", f"For your files, the {name} reads {value}.")), value
    )


def _jwt(rng: Random) -> str:
    """Three parts in base64url without padding: RFC 7519."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": letters(rng, _DIGITS, 10), "iat": 1_700_000_000 + int(rng.random() * 10**7)})
    coded = [base64.urlsafe_b64encode(json.dumps(item, separators=(",", ":")).encode()).decode().rstrip("=") for item in parts]
    return ".".join([*coded, letters(rng, _ALNUM + "-_", 43)])


def _private_key(rng: Random) -> str:
    """A PEM block (RFC 7468) around random text, which is no key."""
    name = pick(rng, ("RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "PRIVATE KEY"))
    body = "\n".join(letters(rng, _ALNUM + "+/", 64) for _ in range(6))
    return f"-----BEGIN {name}-----\n{body}\n-----END {name}-----"


_TOKENS: tuple[Callable[[Random], str], ...] = (
    lambda rng: "AKIA" + letters(rng, _UPPER + "234567", 16),  # AWS: access key ids
    lambda rng: pick(rng, ("ghp_", "gho_", "ghs_")) + letters(rng, _ALNUM, 36),  # GitHub: token prefixes
    lambda rng: f"github_pat_{letters(rng, _ALNUM, 22)}_{letters(rng, _ALNUM, 59)}",
    lambda rng: f"xoxb-{letters(rng, _DIGITS, 12)}-{letters(rng, _DIGITS, 12)}-{letters(rng, _ALNUM, 24)}",  # Slack: bot tokens
    lambda rng: pick(rng, ("sk_test_", "rk_test_")) + letters(rng, _ALNUM, 24),  # Stripe: test keys
    lambda rng: "glpat-" + letters(rng, _ALNUM, 20),  # GitLab: personal access tokens
    lambda rng: "AIza" + letters(rng, _ALNUM + "-_", 35),  # Google: API keys
    _jwt,
    _private_key,
)

_CARRIERS: Mapping[str, tuple[str, ...]] = {
    "email": ("Please write to {}.", "My address is {}, I read it daily.", "You can answer to {} as well.", "Copy {} when you reply.",
              "The account runs under {}.", "Forward it to <{}>, please.", "Contact: {}"),
    "phone": ("You can call me on {}.", "My number is {}, after six is best.", "Ring {} if something is unclear.", "Tel. {}",
              "A message to {} reaches me too.", "The caller had the number {}."),
    "card": ("The card is {}.", "I paid with {} at the time.", "Please charge {} instead.", "My card number: {}, it expires next year.",
             "It concerns {}."),
    "iban": ("Please send it to {}.", "The account is {}.", "IBAN: {}.", "The money should go to {}, not to the old one.",
             "I transferred it from {}."),
    "ip": ("The log names {} as the source.", "My machine has {} at the moment.", "Sign-ins came from {}.",
           "Please allow {} in the firewall.", "A ping to {} gets no answer."),
    "secret": ("This is the key that I use: {}", "In the settings it says token={}", "I pasted {} into the form, was that right?",
               "The script still contains {} in line four.", "It worked with {} until now."),
}  # fmt: skip
_MAKERS: Mapping[str, Callable[[Random], str]] = {
    "email": _email,
    "phone": _phone,
    "card": _card,
    "iban": _iban,
    "ip": _ip,
    "secret": lambda rng: pick(rng, _TOKENS)(rng),
}


def specimen(kind: str, rng: Random) -> Specimen:
    """A real one in form: email, phone, card, iban, ip, national_id or secret."""
    if kind == "national_id":
        return _national_id(rng)
    value = _MAKERS[kind](rng)
    return Specimen(pick(rng, _CARRIERS[kind]).format(value), value)


def _spoil(rng: Random, most: int) -> int:
    return 1 + int(rng.random() * most)


def _version(rng: Random) -> str:
    return ".".join(str(int(rng.random() * top)) for top in (20, 30, 60, 250))


def _clock(rng: Random, between: str = ":") -> str:
    return between.join(f"{int(rng.random() * top):02d}" for top in (24, 60, 60))


def _date(rng: Random, between: str = "-") -> str:
    return between.join((str(2018 + int(rng.random() * 8)), f"{_spoil(rng, 12):02d}", f"{_spoil(rng, 28):02d}"))


def _uuid(rng: Random) -> str:
    return "-".join(
        (
            letters(rng, _HEX, 8),
            letters(rng, _HEX, 4),
            "4" + letters(rng, _HEX, 3),
            pick(rng, "89ab") + letters(rng, _HEX, 3),
            letters(rng, _HEX, 12),
        )
    )


def _pinned_package(rng: Random) -> str:
    return f"{pick(rng, ('react', 'lodash', 'vite', 'left-pad'))}@{_spoil(rng, 20)}.{_spoil(rng, 9)}.0"


def _shell_prompt(rng: Random) -> str:
    return f"{pick(rng, ('root', 'deploy', 'backup'))}@{pick(rng, ('fileserver', 'build', 'node'))}{letters(rng, _DIGITS, 2)}"


def _mac(rng: Random) -> str:
    return pick(rng, (":", "-")).join(letters(rng, _HEX, 2) for _ in range(6))


def _creditor_reference(rng: Random) -> str:
    """ISO 11649: it passes the same check as an account number, yet RF is no country."""
    body = letters(rng, _DIGITS, 12)
    return _grouped(f"RF{iban_check('RF', body)}{body}", (4,) * 4, " ")


def _wrong_luhn(rng: Random, length: int) -> str:
    payload = pick(rng, _DIGITS[1:]) + letters(rng, _DIGITS, length - 2)
    return payload + str((int(luhn_digit(payload)) + _spoil(rng, 9)) % 10)


_PLACEHOLDERS = ("ghp_YOUR_TOKEN_HERE", "AKIA<your key id>", "sk_test_XXXX", "<API_KEY>")

_LOOKALIKES: Mapping[str, tuple[tuple[str, Callable[[Random], str]], ...]] = {
    "email": (
        ("The package file pins {} for now.", _pinned_package),
        ("I wrote to {} in the chat.", lambda rng: f"@{pick(rng, _FIRST)}_{pick(rng, _LAST)}"),
        ("The prompt says {} and waits.", _shell_prompt),
        ("The invoice lists {} each.", lambda rng: f"{_spoil(rng, 40)} pieces @ {_spoil(rng, 90)}.50"),
    ),
    "phone": (
        ("My order number is {}.", lambda rng: letters(rng, _DIGITS[1:], 10)),
        ("Earlier ticket: {}.", lambda rng: f"INC{letters(rng, _DIGITS, 10)}"),
        ("The log entry is from {}.", lambda rng: f"{_date(rng)} {_clock(rng)}"),
        ("The parcel code reads {}.", lambda rng: f"{letters(rng, _DIGITS, 4)} {letters(rng, _DIGITS, 3)} {letters(rng, _DIGITS, 4)}"),
        ("The batch carries the stamp {}.", lambda rng: _date(rng, "") + _clock(rng, "")),
    ),
    "card": (
        ("The order has the number {}.", lambda rng: _wrong_luhn(rng, 16)),
        ("I copied {} from the form, it is refused.", lambda rng: _card(rng, _spoil(rng, 9))),
        ("My customer number is {}.", lambda rng: _card(rng, _spoil(rng, 9), groups=False)),
        ("The tracking page wants {}.", lambda rng: _wrong_luhn(rng, 18)),
    ),
    "iban": (
        ("The bank says that {} does not exist.", lambda rng: _iban(rng, _spoil(rng, 96))),
        ("On the slip I read {}, which is refused.", lambda rng: _iban(rng, _spoil(rng, 96))),
        ("Quote {} as the reference.", _creditor_reference),
    ),
    "ip": (
        ("I am on version {} of the program.", _version),
        ("The firmware is {}, the latest one.", _version),
        ("The adapter with the MAC address {} is affected.", _mac),
        ("See clause {} of the rules.", lambda rng: ".".join(str(_spoil(rng, 9)) for _ in range(4))),
        ("It stopped at {} sharp.", _clock),
    ),
    "national_id": (
        ("The serial number is {}.", lambda rng: f"{letters(rng, _UPPER, 2)}{letters(rng, _DIGITS, 7)}{letters(rng, _UPPER, 2)}"),
        ("The spare part is listed as {}.", lambda rng: _ssn(rng, pick(rng, ("000", "666")))),
        ("The form refuses {} as mistyped.", lambda rng: _dni(rng, _spoil(rng, 22))),
        ("The meter shows the number {}.", lambda rng: _tax_id(rng, _spoil(rng, 9))),
    ),
    "secret": (
        ("It broke with commit {}.", lambda rng: letters(rng, _HEX, 40)),
        ("The request id was {}.", _uuid),
        ("The download has the checksum sha256:{}.", lambda rng: letters(rng, _HEX, 64)),
        ("The picture is called {}.", lambda rng: f"{letters(rng, _ALNUM, 44)}.{pick(rng, ('jpeg', 'png', 'pdf'))}"),
        ("The manual says to put {} there.", lambda rng: pick(rng, _PLACEHOLDERS)),
    ),
}  # fmt: skip
"""Sentences with a value that a careless detector takes for the kind."""

KINDS: tuple[str, ...] = tuple(_LOOKALIKES)


def lookalike(kind: str, rng: Random) -> Specimen:
    """Something that looks like the kind and is none: its check fails, or the sentence says what it is."""
    sentence, make = pick(rng, _LOOKALIKES[kind])
    value = make(rng)
    return Specimen(sentence.format(value), value)
