"""Numbers that stand for a person: cards, bank accounts, national identifiers, telephones.

The `is_` functions take one number without separators; they say that it can have been issued, not that it was. The `find_` functions say
where in a text such numbers are, and leave out what the words before it call an order, an article or a ticket.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache

_CARD_RANGES: tuple[tuple[str, str, frozenset[int]], ...] = (
    ("4", "4", frozenset({13, 16, 19})),  # Visa
    ("51", "55", frozenset({16})),  # Mastercard
    ("2221", "2720", frozenset({16})),  # Mastercard, the series opened in 2017
    ("34", "34", frozenset({15})),  # American Express
    ("37", "37", frozenset({15})),
    ("300", "305", frozenset(range(14, 20))),  # Diners Club
    ("3095", "3095", frozenset(range(14, 20))),
    ("36", "36", frozenset(range(14, 20))),
    ("38", "39", frozenset(range(14, 20))),
    ("6011", "6011", frozenset(range(16, 20))),  # Discover
    ("644", "649", frozenset(range(16, 20))),
    ("65", "65", frozenset(range(16, 20))),
    ("3528", "3589", frozenset(range(16, 20))),  # JCB
    ("62", "62", frozenset(range(16, 20))),  # UnionPay
    ("81", "81", frozenset(range(16, 20))),  # UnionPay and RuPay
    ("2200", "2204", frozenset(range(16, 20))),  # Mir
    ("5018", "5018", frozenset(range(12, 20))),  # Maestro
    ("5020", "5020", frozenset(range(12, 20))),
    ("5038", "5038", frozenset(range(12, 20))),
    ("5893", "5893", frozenset(range(12, 20))),
    ("6304", "6304", frozenset(range(12, 20))),
    ("6759", "6763", frozenset(range(12, 20))),
)
"""First and last prefix of a range, and the lengths in use, as the schemes publish them."""

_IBAN_REGISTRY = (
    "AD:8n12c AE:19n AL:8n16c AT:16n AZ:4a20c BA:16n BE:12n BG:4a6n8c BH:4a14c BI:23n BR:23n1a1c BY:4c4n16c CH:5n12c CR:18n CY:8n16c "
    "CZ:20n DE:18n DJ:23n DK:14n DO:4c20n EE:16n EG:25n ES:20n FI:14n FK:2a12n FO:14n FR:10n11c2n GB:4a14n GE:2a16n GI:4a15c GL:14n "
    "GR:7n16c GT:24c HN:4a20n HR:17n HU:24n IE:4a14n IL:19n IQ:4a15n IS:22n IT:1a10n12c JO:4a4n18c KW:4a22c KZ:3n13c LB:4n20c "
    "LC:4a24c LI:5n12c LT:16n LU:3n13c LV:4a13c LY:21n MC:10n11c2n MD:20c ME:18n MK:3n10c2n MN:16n MR:23n MT:4a5n18c MU:4a19n3a "
    "NI:4a20n NL:4a10n NO:11n OM:3n16c PK:4a16c PL:24n PS:4a21c PT:21n QA:4a21c RO:4a16c RS:18n RU:14n15c SA:2n18c SC:4a20n3a SD:14n "
    "SE:20n SI:15n SK:20n SM:1a10n12c SO:19n ST:21n SV:4a20n TL:19n TN:20n TR:6n16c UA:6n19c VA:18n VG:4a16n XK:16n YE:4a4n18c"
)
"""What follows country and check digits: n digits, a letters, c either. ISO 13616 IBAN registry, release 100; equal neighbours joined."""
_IBAN_STRUCTURES = dict(entry.split(":") for entry in _IBAN_REGISTRY.split())

_CLASSES = {"n": "[0-9]", "a": "[A-Z]", "c": "[A-Z0-9]"}

_SSN_NEVER_ISSUED = frozenset({"078051120", "219099999"})
"""Printed in advertisements, and so void."""

_NINO = re.compile(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]")
_NIR = re.compile(r"[1278][0-9]{2}(?:0[1-9]|1[0-2]|20|3[0-9]|4[0-2]|[5-9][0-9])(?:0[1-9]|[1-8][0-9]|9[0-57-9]|2[AB])[0-9]{8}")
_SPANISH_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_FISCAL_DIGIT = "[0-9L-NP-V]"
_FISCAL_CODE = re.compile("[A-Z]{6}9{2}[A-EHLMPR-T]9{2}[A-Z]9{3}[A-Z]".replace("9", _FISCAL_DIGIT))
_FISCAL_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
"""Value of each letter, and of the digit that is as far from 0 as the letter from A, in an odd position."""

GAP = r"[ \u00a0\u202f-]"
"""What people put between groups of digits: spaces, narrow and unbreakable ones too, and dashes."""

_REFERENCE = re.compile(
    r"(?:(?<![^\W_])(?:orders?|invoice|ticket|tracking|shipment|parcel|serial|part|sku|ref|reference|case|booking|transaction|article|product"
    r"|model|batch|lot|isbn|ean|gtin|imei|version|rechnung|bestellung|auftrag|commande|facture|pedido|factura)s?"
    r"(?:[\W_]{0,3}(?:number|num|no|nr|id|code|is|was|nummer|numéro|número))*[\W_]{0,3}|#)$",
    re.IGNORECASE,
)
_CARD_WORD = re.compile(
    r"card|visa|master|maestro|amex|diners|discover|jcb|credit|debit|karte|carte|tarjeta|carta|kaart|\bpan\b", re.IGNORECASE
)
_CARDS = tuple(
    re.compile(rf"[0-9](?<![\w/-][0-9])(?<![0-9][.,][0-9]){rest}(?!\w|[.-][0-9])")
    for rest in (
        "[0-9]{11,18}",
        rf"[0-9]{{3}}(?P<gap>{GAP})[0-9]{{4}}(?P=gap)[0-9]{{4}}(?P=gap)[0-9]{{4}}",
        rf"[0-9]{{3}}(?P<gap>{GAP})[0-9]{{4}}(?P=gap)[0-9]{{4}}(?P=gap)[0-9]{{4}}(?P=gap)[0-9]{{3}}",
        rf"(?<=3)[0-9]{{3}}(?P<gap>{GAP})[0-9]{{6}}(?P=gap)[0-9]{{4,5}}",
    )
)
"""Compact, in fours, or as American Express (4-6-5) and Diners Club (4-6-4) print them."""
_IBAN_CHECK = re.compile(rf"[0-9](?<=(?<![^\W_])[A-Za-z]{{2}}[0-9])[0-9](?P<gap>{GAP}?)")
"""An IBAN's check digits: there are fewer digits than letters in a text, so that these are faster to find than the country."""
_NO_BORDER, _RIGHT = r"[\w.+/-]", r"(?!\w|[.-]?[0-9]|-\w)"
_SSN_WORD = re.compile(r"\bssn\b|social security", re.IGNORECASE)
_BSN_WORD = re.compile(r"\bbsn\b|burgerservice|sofi", re.IGNORECASE)

E164_CODE = (
    "1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|2(?:1[1-368]|[2-6][0-9]|9[017-9])|3(?:5[0-9]|7[0-8]|8[0-35-79])|42[013]"
    "|5[09][0-9]|6(?:7[02-9]|8[0-35-9]|9[0-2])|8(?:0[08]|5[02356]|7[08]|8[0-368])|9(?:6[0-8]|7[0-79]|9[2-68])"
)
"""Country codes that ITU-T E.164 assigns."""
_E164_DIGITS = {
    **{code: range(10, 11) for code in ("1", "7", "30", "52", "90", "91")},
    **{code: range(9, 10) for code in ("27", "31", "33", "34", "40", "41", "48", "61", "351", "380", "420", "421")},
    **{code: range(8, 9) for code in ("45", "47", "65")},
    "32": range(8, 10),
    "36": range(8, 10),
    "39": range(6, 12),
    "43": range(6, 14),
    "44": range(9, 11),
    "46": range(7, 10),
    "49": range(6, 14),
    "55": range(10, 12),
    "81": range(9, 11),
    "82": range(8, 11),
    "86": range(10, 12),
    "353": range(7, 10),
}
"""How many digits follow the code, by the countries' numbering plans; elsewhere :data:`_E164_DEFAULT`."""
_E164_DEFAULT = range(7, 13)
BETWEEN = r"[ \u00a0().\-/]{0,3}"
"""What people put between the digits of a telephone number."""
_PHONE_END = r"(?!(?!e?xt?\.? ?[0-9])\w|[.-][0-9]|@)"
"""An extension may follow."""
_PHONE_ABROAD = re.compile(
    rf"[+0](?:(?<=\+)(?<![\w+.]\+)|(?<=0)(?<![\w+.,:/-]0)0) ?(?P<code>{E164_CODE})(?P<rest>(?:{BETWEEN}[0-9]){{5,14}}){_PHONE_END}"
)
_PHONE_NORTH_AMERICA = re.compile(
    rf"[(1-9](?<!{_NO_BORDER}[(1-9])"
    r"(?:(?<=1)[ .-](?:\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .-]|[2-9][0-9]{2}(?P<gap>[.-])[2-9][0-9]{2}(?P=gap))"
    r"|(?<=\()[2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .-]|(?<=[2-9])[0-9]{2}(?P<dash>[.-])[2-9][0-9]{2}(?P=dash))[0-9]{4}" + _PHONE_END
)
_PHONE_FRANCE = re.compile(rf"0(?<!{_NO_BORDER}0)[1-9](?P<pair>[ .-])[0-9]{{2}}(?:(?P=pair)[0-9]{{2}}){{3}}{_PHONE_END}")
_PHONE_EUROPE = re.compile(
    rf"[(0](?<!{_NO_BORDER}[(0])(?:(?<=\()0|(?<=0))"
    r"(?:2[03489]\)? [0-9]{4} [0-9]{4}|(?:11[0-9]|1[0-9]1|[38][0-9]{2})\)? [0-9]{3} [0-9]{4}"  # United Kingdom
    r"|[17][0-9]{3}\)? (?:[0-9]{6}|[0-9]{3} [0-9]{3})"
    rf"|(?<!\(0)1(?:5[0-9]{{1,2}}|6[0-3]|7[0-9])[ /-][0-9]{{3,4}} ?[0-9]{{4,5}}){_PHONE_END}"  # Germany, mobile
)
"""Printed forms that say what they are without a country code."""
_PHONE_SPOKEN = re.compile(rf"[(0-9](?<![\w+][(0-9])(?:(?<=\()[0-9]|(?<=[0-9]))(?:{BETWEEN}[0-9]){{6,11}}{_PHONE_END}")
PHONE_WORD = (
    r"(?:tel|telephone|telefon|telefono|teléfono|téléphone|phone|mobile|mobil|móvil|movil|portable|handy|cell|cellphone|fax|whatsapp"
    r"|call|dial|rufnummer|rückruf|appele[rz]|llam[ae]r?)s?[\W_]{0,3}"
    r"(?:(?:number|no|nr|nummer|numéro|número|is|at|on|me|us|back|unter|ist|au|al|est|es|home|work)[\W_]{1,3}){0,4}"
)
"""What stands before a number that says too little by itself."""
_PHONE_WORD = re.compile(rf"(?<![^\W_]){PHONE_WORD}$", re.IGNORECASE)
_DATE = re.compile(r"\(?(?:(?:19|20)[0-9]{2}[-/. ][0-9]{1,2}[-/. ][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.](?:19|20)?[0-9]{2})(?![0-9])")


def is_card(digits: str) -> bool:
    """Issuer range, length and the Luhn check of ISO/IEC 7812-1, annex B."""
    return len(digits) in _card_lengths(digits[:4]) and _luhn(digits) == 0


@cache
def iban_length(country: str) -> int | None:
    """Characters of an IBAN of this country, or None where the registry knows none."""
    structure = _IBAN_STRUCTURES.get(country.upper())
    return None if structure is None else 4 + sum(int(count) for count in re.findall("[0-9]+", structure))


def is_iban(text: str) -> bool:
    """The country's structure in the ISO 13616 registry, and the remainder of ISO/IEC 7064, MOD 97-10. Case does not matter."""
    upper = text.upper()
    pattern = _iban_pattern(upper[:2])
    if pattern is None or not pattern.fullmatch(upper):
        return False
    moved = upper[4:] + upper[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def is_us_ssn(digits: str) -> bool:
    """Nine digits that the United States' Social Security Administration can assign (POMS RM 10201.035); there is no check digit."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000" and digits not in _SSN_NEVER_ISSUED


def is_uk_nino(text: str) -> bool:
    """Letters that HM Revenue & Customs allocates (manual NIM39110); there is no check digit."""
    return _NINO.fullmatch(text.upper()) is not None


def is_german_tax_id(digits: str) -> bool:
    """Steuerliche Identifikationsnummer (Abgabenordnung § 139b): check digit by ISO/IEC 7064, MOD 11,10.

    Of the first ten digits exactly one occurs twice or three times, and never three times in a row.
    """
    repeated = [digit for digit, count in Counter(digits[:10]).items() if count > 1]
    if digits[0] == "0" or len(repeated) != 1 or digits[:10].count(repeated[0]) > 3 or repeated[0] * 3 in digits[:10]:
        return False
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def is_french_nir(text: str) -> bool:
    """Numéro d'inscription au répertoire (INSEE): the key is 97 less the number modulo 97; Corsica's 2A and 2B count as 19 and 18."""
    upper = text.upper()
    if not _NIR.fullmatch(upper):
        return False
    number = upper[:13].replace("2A", "19").replace("2B", "18")
    return 97 - int(number) % 97 == int(upper[13:])


def is_spanish_id(text: str) -> bool:
    """DNI or NIE (Real Decreto 1553/2005): the last letter is the number modulo 23; in a NIE, X, Y and Z stand for 0, 1 and 2."""
    upper = text.upper()
    number = str("XYZ".index(upper[0])) + upper[1:-1] if upper[0] in "XYZ" else upper[:-1]
    return _SPANISH_LETTERS[int(number) % 23] == upper[-1]


def is_italian_fiscal_code(text: str) -> bool:
    """Codice fiscale (decreto ministeriale 23 dicembre 1976): the check letter is the sum of all characters' values modulo 26."""
    upper = text.upper()
    if not _FISCAL_CODE.fullmatch(upper):
        return False
    places = [int(character, 36) - (10 if character.isalpha() else 0) for character in upper[:15]]
    total = sum(place if index % 2 else _FISCAL_ODD[place] for index, place in enumerate(places))
    return chr(ord("A") + total % 26) == upper[15]


def is_dutch_bsn(digits: str) -> bool:
    """Burgerservicenummer: weights 9 to 2, and -1 for the last digit, give a multiple of 11 (Logisch Ontwerp BSN)."""
    weighed = sum(int(digit) * weight for digit, weight in zip(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1), strict=True))
    return int(digits) > 0 and weighed % 11 == 0


def is_polish_pesel(digits: str) -> bool:
    """PESEL (ustawa o ewidencji ludności, 2010) of somebody born from 1900 to 2099: a date, its century in the month, and a check digit."""
    month, day = int(digits[2:4]) % 20, int(digits[4:6])
    if int(digits[2]) > 3 or not (1 <= month <= 12 and 1 <= day <= 31):
        return False
    return sum(int(digit) * weight for digit, weight in zip(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True)) % 10 == 0


def before(text: str, start: int) -> str:
    """As much of what precedes as can say what a number is."""
    return text[max(0, start - 40) : start]


def is_reference(text: str, start: int) -> bool:
    """Whether the words before `start` call what follows an order, an article, a ticket or the like."""
    return _REFERENCE.search(before(text, start)) is not None


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Card numbers; those of unusual length only where a card is spoken of, and compact ones not where an order is."""
    for match in (match for pattern in _CARDS for match in _overlapping(pattern, text)):
        digits = re.sub("[^0-9]", "", match.group())
        if not is_card(digits):
            continue
        grouped, spoken = len(digits) != match.end() - match.start(), _CARD_WORD.search(before(text, match.start()))
        if spoken or grouped or (len(digits) in (14, 15, 16) and not is_reference(text, match.start())):
            yield match.span()


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """IBANs, compact or in groups of four, in either case."""
    for match in _IBAN_CHECK.finditer(text):
        start, gap = match.start() - 2, match["gap"]
        length = iban_length(text[start : match.start()])
        if length is None:
            continue
        end = start + length + (length - 1) // 4 * len(gap)
        groups = text[start:end].split(gap or None)
        whole = not gap or all(len(group) == 4 for group in groups[:-1])
        if whole and not text[end : end + 1].isalnum() and is_iban("".join(groups)):
            yield start, end


def find_national_ids(text: str) -> Iterator[tuple[int, int]]:
    """Identifiers of the United States, the United Kingdom, Germany, France, Spain, Italy, the Netherlands and Poland."""
    for pattern, check, word in _NATIONAL:
        for match in _overlapping(pattern, text):
            preceding = before(text, match.start())
            named = word.search(preceding) if word else not is_reference(text, match.start())
            if named and check(re.sub("[ .-]", "", match.group())):
                yield match.span()


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Telephone numbers with their country's code, in a form that says what it is, or after a word such as `call` or `Tel.`"""
    for match in _PHONE_ABROAD.finditer(text) if "+" in text or "00" in text else ():
        if (end := _end_abroad(match)) is not None and (match.group()[0] == "+" or not is_reference(text, match.start())):
            yield match.start(), end
    for match in _PHONE_NORTH_AMERICA.finditer(text):
        if _is_north_american(re.sub("[^0-9]", "", match.group())[-10:]) and not is_reference(text, match.start()):
            yield match.span()
    for match in (match for pattern in (_PHONE_FRANCE, _PHONE_EUROPE) for match in pattern.finditer(text)):
        if not is_reference(text, match.start()):
            yield match.span()
    for match in _PHONE_SPOKEN.finditer(text):
        if not _DATE.match(match.group()) and _PHONE_WORD.search(before(text, match.start())):
            yield match.span()


def _end_abroad(match: re.Match[str]) -> int | None:
    """Where a number with country code ends: as many of its groups as the country's numbering plan allows."""
    rest, code = match["rest"], match["code"]
    if re.fullmatch(r"\.[0-9]+", rest) or (match.group()[0] == "0" and rest.isdigit()):
        return None  # A decimal fraction with its sign; a number that is merely filled up with zeros.
    for group in reversed(list(re.finditer("[0-9]+", rest))):
        digits = re.sub("[^0-9]", "", rest[: group.end()].replace("(0)", ""))
        if len(digits) in _E164_DIGITS.get(code, _E164_DEFAULT) and (code != "1" or _is_north_american(digits)):
            return match.start("rest") + group.end()
    return None


def _is_north_american(digits: str) -> bool:
    """Area code and exchange start with 2 to 9, neither is a service code, and no area code has a 9 in its middle (NANPA)."""
    return digits[1] != "9" and all(code[0] in "23456789" and code[1:] != "11" for code in (digits[:3], digits[3:6]))


@cache
def _card_lengths(prefix: str) -> frozenset[int]:
    """Lengths of the cards that begin with four digits."""
    return frozenset[int]().union(*(lengths for first, last, lengths in _CARD_RANGES if first <= prefix[: len(first)] <= last))


def _luhn(digits: str) -> int:
    return (sum(map(int, digits[::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))) % 10


_DOUBLED = {str(digit): sum(divmod(2 * digit, 10)) for digit in range(10)}
"""Cross sums of twice a digit."""


@cache
def _iban_pattern(country: str) -> re.Pattern[str] | None:
    structure = _IBAN_STRUCTURES.get(country)
    if structure is None:
        return None
    parts = (f"{_CLASSES[kind]}{{{count}}}" for count, kind in re.findall("([0-9]+)([nac])", structure))
    return re.compile(f"{country}[0-9]{{2}}{''.join(parts)}")


def _overlapping(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Every place where the pattern matches, also inside an earlier match."""
    match = pattern.search(text)
    while match:
        yield match
        match = pattern.search(text, match.start() + 1)


def _behind_border(first: str, rest: str) -> re.Pattern[str]:
    """A pattern between borders that begins with a class of characters: with the border first it would be tried at every character."""
    return re.compile(f"{first}(?<!{_NO_BORDER}{first}){rest}{_RIGHT}")


_NATIONAL: tuple[tuple[re.Pattern[str], Callable[[str], bool], re.Pattern[str] | None], ...] = (
    (_behind_border("[0-9]", "[0-9]{2}-[0-9]{2}-[0-9]{4}"), is_us_ssn, None),
    (_behind_border("[0-9]", "[0-9]{2} ?[0-9]{2} ?[0-9]{4}"), is_us_ssn, _SSN_WORD),
    (_behind_border("[A-Z]", "[A-Z] ?[0-9]{2}(?P<gap> ?)[0-9]{2}(?P=gap)[0-9]{2} ?[A-D]"), is_uk_nino, None),
    (_behind_border("[0-9]", "[0-9](?P<gap> ?)[0-9]{3}(?P=gap)[0-9]{3}(?P=gap)[0-9]{3}"), is_german_tax_id, None),
    (
        _behind_border("[0-9]", "(?P<gap> ?)(?:[0-9]{2}(?P=gap)){2}[0-9][0-9AB](?P=gap)(?:[0-9]{3}(?P=gap)){2}[0-9]{2}"),
        is_french_nir,
        None,
    ),
    (_behind_border("[0-9]", "[0-9]{7}-?[A-Z]"), is_spanish_id, None),
    (_behind_border("[XYZ]", "-?[0-9]{7}-?[A-Z]"), is_spanish_id, None),
    (
        _behind_border("[A-Za-z]", "[A-Za-z]{5}[0-9L-Vl-v]{2}[A-Za-z][0-9L-Vl-v]{2}[A-Za-z][0-9L-Vl-v]{3}[A-Za-z]"),
        is_italian_fiscal_code,
        None,
    ),
    (_behind_border("[0-9]", "(?:[0-9]{8}|[0-9]{3}[ .][0-9]{2}[ .][0-9]{3})"), is_dutch_bsn, _BSN_WORD),
    (_behind_border("[0-9]", "[0-9]{10}"), is_polish_pesel, None),
)
"""How each is written, its check, and the word that must precede a number that says too little by itself."""
