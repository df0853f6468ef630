"""The checks of single rows as pandas and pandera are documented to do them: vectorised checks of a schema, all faults at once.

Texts are in pandas' own string type over Arrow, so that an expression runs in Arrow's compiled code over the whole column. What an
expression cannot say (check digits) is computed only for the rows in which an expression finds something that may have them.
"""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # no stubs in the lock
import pandera.pandas as pa

from tasks.identifiers import (
    is_french_nir,
    is_german_tax_id,
    is_italian_fiscal_code,
    is_polish_pesel,
    is_spanish_id,
    is_uk_nino,
    is_us_ssn,
)

TEXT = pd.StringDtype("pyarrow")

_CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]"
_START, _END = "(?:^|[^0-9A-Za-z_])", r"(?:\Z|[^0-9A-Za-z_])"
"""Word borders, spelled out: with those of regular expressions pandas leaves Arrow for Python's own, slower ones where text is not ASCII,
and with a dollar sign where it has several lines."""
_EMAIL = r"[0-9A-Za-z_.%+-]+@(?:[0-9A-Za-z-]+\.)+[A-Za-z]{2,24}"
_PHONE = (
    rf"(?:\+[0-9]{{1,3}}[ .-]?|\(|{_START}0)[0-9]{{1,4}}\)?(?:[ .-]?[0-9]{{2,4}}){{2,4}}{_END}"
    rf"|{_START}[0-9]{{3}}[.-][0-9]{{3}}[.-][0-9]{{4}}{_END}"
)
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IP = rf"{_START}(?:{_OCTET}\.){{3}}{_OCTET}{_END}|{_START}(?:[0-9A-Fa-f]{{1,4}}:){{2}}[0-9A-Fa-f:]*:[0-9A-Fa-f]+{_END}"
_CARD = rf"{_START}[3-6][0-9](?:[ -]?[0-9]){{10,17}}{_END}"
_IBAN = rf"{_START}[A-Z]{{2}}[0-9]{{2}}(?: ?[A-Z0-9]){{11,30}}"
_NATIONAL_ID = (
    rf"{_START}(?:[0-9]{{3}}-[0-9]{{2}}-[0-9]{{4}}|[A-CEGHJ-PR-TW-Z][A-NP-Z] ?[0-9]{{2}} ?[0-9]{{2}} ?[0-9]{{2}} ?[A-D]"
    r"|[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}|[1278] ?[0-9]{2} ?[0-9]{2} ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}"
    rf"|(?:[0-9]{{8}}|[XYZ][0-9]{{7}})-?[A-Z]|[A-Z]{{6}}[0-9]{{2}}[A-EHLMPR-T][0-9]{{2}}[A-Z][0-9]{{3}}[A-Z]){_END}"
)
_SECRET = "|".join(
    (
        "(?:AKIA|ASIA)[A-Z0-9]{16}",
        "gh[oprsu]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{82}",
        "xox[abeprs]-[A-Za-z0-9-]{10,}",
        "[rs]k_(?:live|test)_[A-Za-z0-9]{24}",
        "glpat-[A-Za-z0-9_-]{20}",
        "AIza[A-Za-z0-9_-]{35}",
        r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
        "-----BEGIN [A-Z ]*PRIVATE KEY-----",
        "(?:password|passwd|api[_-]?key|token|secret) ?[:=] ?[^ ]{8,}",
    )
)


def find_faults(table: pd.DataFrame, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """pandera's failure cases: a line for each check that a row fails."""
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        return error.failure_cases
    return pd.DataFrame()


def places_of(cases: pd.DataFrame, table: pd.DataFrame) -> dict[str, list[object]]:
    """`line` and `code` of the failure cases that take a row out: phone numbers, addresses and the like are only counted."""
    taken = cases[~cases["check"].isin(["EMAIL", "PHONE", "IP"])]
    return {"line": table["line"].iloc[taken["index"].astype(int)].tolist(), "code": taken["check"].tolist()}


def row_schema() -> pa.DataFrameSchema:
    """Types, what may be empty, control characters, and personal data and secrets in each text."""
    names = {"input": "EMPTY_INPUT", "output": "EMPTY_OUTPUT"}
    texts = {
        name: pa.Column(TEXT, nullable=True, checks=[*_CHECKS, *([_check(names[name], _is_filled)] if name in names else [])])
        for name in ("instruction", "input", "output")
    }
    places = {"row_id": pa.Column(TEXT, unique=True), "file": pa.Column(TEXT), "line": pa.Column("int64", pa.Check.ge(1))}
    return pa.DataFrameSchema({**places, **texts})


def _check(name: str, holds: Callable[["pd.Series[str]"], "pd.Series[bool]"]) -> pa.Check:
    return pa.Check(holds, name=name, ignore_na=False)


def _without(name: str, pattern: str) -> pa.Check:
    return _check(name, lambda texts: ~texts.str.contains(pattern, regex=True, na=False))


def _is_filled(texts: "pd.Series[str]") -> "pd.Series[bool]":
    return texts.str.strip().fillna("") != ""


def _has_no_card(texts: "pd.Series[str]") -> "pd.Series[bool]":
    return _has_none(texts, _CARD, _passes_luhn)


def _has_no_iban(texts: "pd.Series[str]") -> "pd.Series[bool]":
    return _has_none(texts, _IBAN, _passes_mod_97)


def _has_no_national_id(texts: "pd.Series[str]") -> "pd.Series[bool]":
    return _has_none(texts, _NATIONAL_ID, _is_national_id)


def _has_none(texts: "pd.Series[str]", pattern: str, passes: Callable[[str], bool]) -> "pd.Series[bool]":
    """Arrow picks the rows; check digits are computed only for what is found in these."""
    perhaps = texts[texts.str.contains(pattern, regex=True, na=False)]
    sound = [not any(passes(match) for match in re.findall(pattern, text)) for text in perhaps]
    holds = pd.Series(True, index=texts.index)
    holds[perhaps.index] = np.array(sound, dtype=bool)
    return holds


def _passes_luhn(match: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    digits = [int(sign) for sign in match if sign.isdigit()][::-1]
    total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return total % 10 == 0


def _passes_mod_97(match: str) -> bool:
    """ISO 13616-1; the text may run on into the next word, so each shorter end is tried, too."""
    text = re.sub("[^A-Z0-9]", "", match)
    return any(int("".join(str(int(sign, 36)) for sign in text[4:end] + text[:4])) % 97 == 1 for end in range(15, min(len(text), 34) + 1))


def _is_national_id(match: str) -> bool:
    """One of those that ours looks for, by its check digits where it has some; Dutch numbers not, which need a word before them."""
    text = re.sub("[^A-Z0-9]", "", match)
    if len(text) == 9:
        return is_us_ssn(text) if text.isdigit() and "-" in match else is_uk_nino(text) or (text[-1].isalpha() and is_spanish_id(text))
    checks = {11: (is_german_tax_id, is_polish_pesel), 15: (is_french_nir,), 16: (is_italian_fiscal_code,)}
    return any(check(text) for check in checks.get(len(text), ()))


_CHECKS = (
    _without("CONTROL_CHARACTERS", _CONTROL),
    _without("EMAIL", _EMAIL),
    _without("PHONE", _PHONE),
    _without("IP", _IP),
    _without("SECRET", _SECRET),
    _check("CARD", _has_no_card),
    _check("IBAN", _has_no_iban),
    _check("NATIONAL_ID", _has_no_national_id),
)
