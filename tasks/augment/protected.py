"""What no operator may change in a text: numbers, names, negations, code, placeholders and control tokens."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

Kind = Literal["code", "number", "negation", "name"]


class _Span(NamedTuple):
    kind: Kind
    start: int
    end: int
    must_stay: bool
    """Whether a child must have it again; false where the word means other things too (`one`, `second`)."""


_ENDINGS = (
    "com|org|net|io|co|gov|edu|info|app|dev|uk|eu|de|fr|es|it|py|js|ts|json|yaml|yml|csv|txt|md|pdf|png|jpe?g|gif|svg|html?|xml|zip|gz"
    "|exe|docx?|xlsx?|pptx?|sh|sql|parquet|log|ini|toml|cfg|java|cpp"
)
_CODE = rf"""
    ```[\s\S]*?(?:```|\Z) | `[^`\n]+`
  | <\|[^|<>\s]{{1,64}}\|> | <{{1,2}}/?[A-Za-z_][^<>\n]{{0,80}}>{{1,2}}          # <|im_end|>, <EMAIL>, </s>, <<SYS>>
  | \$?\{{{{?[^{{}}\n]{{1,80}}\}}?\}} | \[/?[A-Za-z][\w\ /-]{{0,40}}\](?!\()      # {{name}}, ${{VAR}}, {{{{x}}}}, {{% if %}}, [ORDER]
  | (?<![\w%])%(?:\(\w+\))?(?:\d+\$)?[-+\#0]*\d*(?:\.\d+)?[sdifgxr](?!\w) | %[A-Z_]+%
  | (?<![\w$])\$[A-Za-z_]\w* | (?<!\w)[@\#]\w+
  | \b[A-Za-z][A-Za-z0-9+.-]{{0,20}}://\S*[\w/] | \bwww\.\S*[\w/]
  | \b[\w.+-]{{1,64}}@[\w-]{{1,64}}(?:\.[\w-]{{1,64}})+
  | (?<![\w/])(?:~|\.{{1,2}})?/[A-Za-z][\w.-]*[\w](?:/[\w.-]*[\w])*/? | \b[A-Za-z]:\\\S+
  | \b[\w-]{{1,64}}(?:\.[\w-]{{1,64}}){{0,8}}\.(?:{_ENDINGS})\b(?:/\S*[\w/])? | \b[A-Za-z]\w*(?:\.[a-z]\w+){{2,}}
  | \b\w+\(\) | \b[^\W_]*_\w*[^\W_]\w* | (?<!\S)--[A-Za-z][\w-]+
  | \b(?=[\w-]{{0,40}}\d)[^\W\d_][\w-]*\w                                                  # XK-2041, covid19
"""
_UNITS: Mapping[str, str] = MappingProxyType(
    {
        word: unit
        for unit, words in {
            "GBP": "£ gbp pound pounds quid",
            "USD": "$ usd dollar dollars buck bucks",
            "EUR": "€ eur euro euros",
            "JPY": "¥ jpy yen",
            "INR": "₹ inr rupee rupees",
            "CHF": "chf franc francs",
            "AUD": "aud",
            "CAD": "cad",
            "%": "% percent",
            "s": "s sec secs second seconds",
            "min": "min mins minute minutes",
            "h": "h hr hrs hour hours",
            "d": "d day days",
            "wk": "wk wks week weeks",
            "mo": "mo month months",
            "y": "y yr yrs year years",
            "am": "am a.m. a.m",
            "pm": "pm p.m. p.m",
            "k": "k thousand",
            "m": "m",
            "million": "million millions mn",
            "billion": "billion billions bn",
            "cm": "cm",
            "mm": "mm",
            "km": "km kilometre kilometres kilometer kilometers",
            "mi": "mile miles",
            "kg": "kg kgs kilo kilos",
            "g": "g gram grams gramme grammes",
            "mg": "mg",
            "l": "l litre litres liter liters",
            "ml": "ml",
            "kb": "kb",
            "mb": "mb",
            "gb": "gb",
            "tb": "tb",
            "°c": "°c",
            "°f": "°f",
            "°": "° degree degrees",
            "times": "x times",
        }.items()
        for word in words.split()
    }
)
"""What may follow a number, and the unit that it means."""
_LONGEST_FIRST = "|".join(re.escape(word) for word in sorted(_UNITS, key=len, reverse=True))
_NUMBER = rf"""
    (?<![\w.,])(?:(?<![\d)])[+-])?(?:[£$€¥₹]\ ?)?\d+(?:[.,:/'’-]\d+)*(?:(?:st|nd|rd|th)\b|[-\ ]?(?:{_LONGEST_FIRST})(?!\w)|\w*)
"""
_NUMBER_PARTS = re.compile(r"([+-]?)([£$€¥₹]?) ?(\d+(?:[.,:/'’-]\d+)*)[- ]?(.*)", re.DOTALL)
_THOUSANDS = re.compile(r"(?<=\d)[,'’](?=\d{3}(?!\d))")

_ONES = ["two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS: Mapping[str, int] = MappingProxyType(
    {
        **{word: value for value, word in enumerate([*_ONES, *_TEENS], start=2)},
        **{word: 10 * value for value, word in enumerate(_TENS, start=2)},
        "hundred": 100, "thousand": 1000, "million": 1_000_000, "dozen": 12,
    }
)  # fmt: skip
_DATES = (
    r"\b(?:today|tomorrow|yesterday|tonight|(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
    r"|january|february|april|june|july|august|september|october|november|december)\b"
)
_WORDED = rf"\b(?P<tens>{'|'.join(_TENS)})-(?P<ones>{'|'.join(('one', *_ONES))})\b|\b(?P<whole>{'|'.join(_WORDS)})\b"
_COUNTED = rf"(?:{_WORDED})(?:[-\ ](?P<unit>{_LONGEST_FIRST})(?!\w))?"
_COUNTED_PARTS = re.compile(_COUNTED)
_VAGUE = r"\b(?:one|once|twice|half|quarter|double|single|both|first|second|third|fourth|fifth|last|next)\b"
"""Numbers too, but words of other meanings as well, or said otherwise in good wordings: left alone, yet not asked for in a child."""
_NEGATION = r"""
    \b(?:not|never|no|none|nobody|nothing|nowhere|neither|nor|without|cannot|hardly|barely|scarcely)\b | \b\w+n['’]t\b
  | \b(?:dont|doesnt|didnt|cant|couldnt|wont|wouldnt|shouldnt|isnt|arent|wasnt|werent|hasnt|havent|hadnt|aint|mustnt|neednt)\b
"""
_PATTERN = re.compile(
    rf"(?P<code>{_CODE})|(?P<number>(?i:{_NUMBER}|{_COUNTED}|{_DATES}))"
    rf"|(?P<vague>(?i:{_VAGUE}))|(?P<negation>(?i:{_NEGATION}))",
    re.VERBOSE,
)
_GROUPS: Mapping[str, tuple[Kind, bool]] = MappingProxyType(
    {"code": ("code", True), "number": ("number", True), "vague": ("number", False), "negation": ("negation", True)}
)
_CAPITAL = re.compile(r"[^\W\d_]+(?:[&'’.-][^\W\d_]+)*")
_QUOTES = " \t\"'“”‘’«»([*•–—>#-"
_TITLES = frozenset({"mr", "mrs", "ms", "dr", "prof", "st", "vs", "no", "e.g", "i.e"})
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[A-Z]")
_NO_NAMES = re.compile(
    "i|a|an|the|this|that|these|those|my|your|our|his|her|its|their|we|you|he|she|it|they|is|are|was|were|am|be|do|does|did|have|has|had"
    "|can|could|will|would|should|may|might|must|what|which|who|whom|whose|when|where|why|how|if|and|or|but|so|because|as|at|by|for"
    "|from|in|of|on|to|with|about|please|thanks|thank|hi|hello|hey|ok|okay|yes",
    re.IGNORECASE,
)
"""Words that are no name, however they are written."""


def protected_spans(text: str) -> list[tuple[int, int]]:
    """The parts of a text that must stay as they are: first character and the first one after it; sorted, none touches another.

    Those are numbers with their units (digits and words, money, dates, times), names (capitalised within a sentence, all capitals,
    capitals inside), negations, code (backticks, paths, addresses, identifiers), placeholders and control tokens of templates.
    """
    merged: list[tuple[int, int]] = []
    for _, start, end, _ in sorted(_find(text, cautious=True), key=lambda span: span[1:3]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def protected_texts(text: str) -> Counter[str]:
    """What must be there again, as often, in any other wording of a text.

    Numbers are compared by value and unit (`£1,000.00`, `1000 GBP` and `1000 pounds` are one; `two` is 2), names and dates without case,
    all words of negation as one, code and placeholders to the letter.
    """
    return Counter(_compared(span.kind, text[span.start : span.end]) for span in _find(text, cautious=False) if span.must_stay)


def _find(text: str, *, cautious: bool) -> Iterator[_Span]:
    done = 0
    gaps: list[tuple[int, int]] = []
    for match in _PATTERN.finditer(text):
        start, end = match.span()
        gaps.append((done, start))
        done = end
        kind, must_stay = next(_GROUPS[name] for name in _GROUPS if match[name] is not None)
        yield _Span(kind, start, end, must_stay)
    gaps.append((done, len(text)))
    yield from _names(text, gaps, cautious=cautious)


def _names(text: str, gaps: Iterable[tuple[int, int]], *, cautious: bool) -> Iterator[_Span]:
    """Where most words are capitalised, or shouted, capitals tell nothing: the cautious reading protects them all, the other none."""
    words = [match for start, end in gaps for match in _CAPITAL.finditer(text, start, end)]
    capitals = [match for match in words if not match.group().islower()]
    if not cautious and len(words) > 4 and 2 * len(capitals) > len(words):
        return
    named = [match for match in capitals if not _NO_NAMES.fullmatch(_stem(match.group()))]
    beginnings = {match.start() for match in named}
    for match in named:
        word = match.group()
        if word[1:].islower() and _begins_sentence(text, match.start()):
            if cautious and match.end() + 1 in beginnings and text[match.end()] == " ":
                yield _Span("name", match.start(), match.end(), False)  # the `Apple` of `Apple Pay does not work`
        else:
            yield _Span("name", match.start(), match.end(), True)


def _stem(word: str) -> str:
    """Without `'s`, `'m` and the like."""
    return word.replace("’", "'").partition("'")[0]


def _begins_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - 40) : start].rstrip(_QUOTES)
    if not before:
        return start <= 40
    if before[-1] not in ".!?:…\n":
        return False
    last = before.rstrip(".").rpartition(" ")[2]
    return not (before[-1] == "." and (last.lower() in _TITLES or _INITIALS.fullmatch(last)))


def _compared(kind: Kind, found: str) -> str:
    if kind == "negation":
        return "not"
    if kind == "number":
        return _number(found.lower())
    return re.sub("['’]s$", "", found).lower() if kind == "name" else found


def _number(found: str) -> str:
    if (parts := _NUMBER_PARTS.fullmatch(found)) is not None:
        sign, symbol, digits, rest = parts.groups()
        digits = _THOUSANDS.sub("", digits)
        if re.fullmatch(r"\d+\.\d+", digits):
            digits = digits.rstrip("0").rstrip(".")
        return f"{sign.replace('+', '')}{digits}{_UNITS.get(symbol or rest, rest)}"
    if (words := _COUNTED_PARTS.fullmatch(found)) is not None:
        value = _WORDS[words["whole"]] if words["whole"] else _WORDS[words["tens"]] + _WORDS.get(words["ones"], 1)
        return f"{value}{_UNITS.get(words['unit'] or '', '')}"
    return found
