"""Puts one known fault, or a look-alike of one, into a request."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from benchmarks.composing import LABELS, Request, compose, part, pick, reframe
from benchmarks.phrases import REFUSAL_ENDS, REFUSAL_MIDDLES, REFUSAL_OPENERS
from benchmarks.rewrites import exact_variant, label_variant, near_variant
from benchmarks.specimens import KINDS, Specimen, lookalike, specimen

TOO_LONG = 12_000
"""Characters that a row of kind `too_long` has at least."""
LONG_BUT_FINE = 2_400
"""Characters at which its look-alikes stop."""

_CONTROL = ("\x00", "\x01", "\x07", "\x08", "\x0b", "\x1b[31m", "\x1f", "\x7f")
_TOKENS = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<start_of_turn>", "<end_of_turn>", "[INST]",
    "[/INST]", "<<SYS>>", "<|user|>", "<|assistant|>", "<|system|>", "</s>",
)  # fmt: skip
_TOKEN_LIKE = (
    "a <br> in the middle", "the sign <| of our script", "List.map <| sort", "[INSTALL]", "<INPUT>", "the tag <p>", "x |> f", "<<DRAFT>>",
    "<user>", "im_end",
)  # fmt: skip
_LAYOUT = ("\r\n", "\t", " \U0001f468\u200d\U0001f527 ", " cafe\u0301 ", " \u2013 ", "\n\n", " \u00a7 4 ", " \U0001f1ea\U0001f1fa ")
_BLANK = ("", " ", "\n", "\t\n ", "\u00a0", "   \r\n", "\u3000")
_CLOSE_LABELS = tuple(pair for pair in LABELS if pair[1].split("_")[0] in ("card", "transfer", "account", "appointment"))
"""Labels that differ in their last word only: another label is no other spelling."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is written, and in `value` the text that was planted. `input` is no text where that is the fault."""

    instruction: str
    input: object
    output: str | None
    value: str | None = None


Make = Callable[[Request, Request, Random], Row]
"""Makes a row of its own request, the request of another row, and random numbers."""


def plain(request: Request) -> Row:
    """The row without a fault."""
    return Row(request.instruction, request.text, request.label)


def other_label(label: str, domain: str, rng: Random) -> str:
    """Another label of the same domain."""
    return pick(rng, [name for where, name in LABELS if where == domain and name != label])


def _with_text(request: Request, text: str, value: str | None = None) -> Row:
    return Row(request.instruction, text, request.label, value)


def _insert(request: Request, planted: Specimen, rng: Random) -> Row:
    """The sentence goes between two parts, or to an end."""
    place = int(rng.random() * (len(request.parts) + 1))
    parts = (*request.parts[:place], ("planted", planted.sentence), *request.parts[place:])
    return _with_text(request, replace(request, parts=parts).text, planted.value)


def _splice(request: Request, value: str, rng: Random, between: str = "") -> Row:
    """Puts the value between two words."""
    words = request.text.split(" ")
    place = 1 + int(rng.random() * (len(words) - 1))
    text = " ".join(words[:place]) + between + value + (between or " ") + " ".join(words[place:])
    return _with_text(request, text, value)


def _exact_duplicate(_: Request, origin: Request, rng: Random) -> Row:
    return _with_text(origin, exact_variant(origin.text, rng))


def _near_duplicate(_: Request, origin: Request, rng: Random) -> Row:
    return _with_text(origin, near_variant(origin.text, rng))


def _inconsistent_label(_: Request, origin: Request, rng: Random) -> Row:
    return replace(plain(origin), output=other_label(origin.label, origin.domain, rng))


def _empty_output(own: Request, _: Request, rng: Random) -> Row:
    return replace(plain(own), output=pick(rng, (None, "", " ", "\n")))


def _whitespace_input(own: Request, _: Request, rng: Random) -> Row:
    return _with_text(own, pick(rng, _BLANK))


def _control_characters(own: Request, _: Request, rng: Random) -> Row:
    return _splice(own, pick(rng, _CONTROL), rng)


def _control_tokens(own: Request, _: Request, rng: Random) -> Row:
    return _splice(own, pick(rng, _TOKENS), rng, pick(rng, ("", " ", "\n")))


def _wrong_type(own: Request, _: Request, rng: Random) -> Row:
    number = 100_000 + int(rng.random() * 9_000_000)
    return replace(plain(own), input=pick(rng, (number, number / 8)))


def _lengthened(own: Request, least: int, rng: Random) -> str:
    lines, length = [own.text], len(own.text)
    while length < least:
        line = " ".join([part("detail", rng), part("attempt", rng), part("consequence", rng)])
        lines.append(line)
        length += len(line) + 1
    return "\n".join(lines)


def _too_long(own: Request, _: Request, rng: Random) -> Row:
    return _with_text(own, _lengthened(own, TOO_LONG + int(rng.random() * TOO_LONG), rng))


def _refusal(own: Request, _: Request, rng: Random) -> Row:
    return replace(plain(own), output=_declining(rng))


def _declining(rng: Random) -> str:
    return " ".join([pick(rng, phrases) for phrases in (REFUSAL_OPENERS, REFUSAL_MIDDLES, REFUSAL_ENDS)]).strip()


def _mixed_label(own: Request, _: Request, rng: Random) -> Row:
    return replace(plain(own), output=label_variant(own.label, rng))


def _planted(kind: str, make: Callable[[str, Random], Specimen]) -> Make:
    return lambda own, _, rng: _insert(own, make(kind, rng), rng)


def _same_frame(_: Request, origin: Request, rng: Random) -> Row:
    return plain(reframe(origin, rng, [pair for pair in LABELS if pair[0] == origin.domain]))


def _same_frame_other_label(_: Request, origin: Request, rng: Random) -> Row:
    return plain(reframe(origin, rng, [pair for pair in LABELS if pair[0] == origin.domain and pair[1] != origin.label]))


def _spaced_output(own: Request, _: Request, rng: Random) -> Row:
    return replace(plain(own), output=f"{pick(rng, (' ', '', '  '))}{own.label}{pick(rng, (' ', chr(10)))}")


def _spaced_input(own: Request, _: Request, rng: Random) -> Row:
    return _with_text(own, f"{pick(rng, _BLANK[1:])}{own.text}{pick(rng, _BLANK[1:])}")


def _layout(own: Request, _: Request, rng: Random) -> Row:
    return _splice(own, pick(rng, _LAYOUT), rng)


def _token_like(own: Request, _: Request, rng: Random) -> Row:
    value = pick(rng, _TOKEN_LIKE)
    return _insert(own, Specimen(f"On the screen I see {value} and nothing else.", value), rng)


def _json_text(own: Request, _: Request, rng: Random) -> Row:
    return _with_text(own, json.dumps({"number": int(rng.random() * 10**6), "text": own.text}, ensure_ascii=False))


def _long_but_fine(own: Request, _: Request, rng: Random) -> Row:
    return _with_text(own, _lengthened(own, LONG_BUT_FINE - 600, rng)[:LONG_BUT_FINE])


def _quoted_refusal(own: Request, _: Request, rng: Random) -> Row:
    return _insert(own, Specimen(f'Your chat robot wrote: "{_declining(rng)}"', ""), rng)


def _close_label(_: Request, __: Request, rng: Random) -> Row:
    return plain(compose(rng, _CLOSE_LABELS))


FAULTS: Mapping[str, Make] = {
    "exact_duplicate": _exact_duplicate,
    "near_duplicate": _near_duplicate,
    "inconsistent_label": _inconsistent_label,
    "empty_output": _empty_output,
    "whitespace_input": _whitespace_input,
    "control_characters": _control_characters,
    "control_tokens": _control_tokens,
    "wrong_type": _wrong_type,
    "too_long": _too_long,
    "refusal": _refusal,
    "mixed_label": _mixed_label,
    **{kind: _planted(kind, specimen) for kind in KINDS},
}

HARD_NEGATIVES: Mapping[str, Make] = {
    "near_duplicate": _same_frame,
    "inconsistent_label": _same_frame_other_label,
    "empty_output": _spaced_output,
    "whitespace_input": _spaced_input,
    "control_characters": _layout,
    "control_tokens": _token_like,
    "wrong_type": _json_text,
    "too_long": _long_but_fine,
    "refusal": _quoted_refusal,
    "mixed_label": _close_label,
    **{kind: _planted(kind, lookalike) for kind in KINDS},
}
"""Rows that a careless check takes for the fault. An exact duplicate has none of its own: those of the near ones stand for both."""

PAIRED = frozenset({"exact_duplicate", "near_duplicate", "inconsistent_label"})
"""Kinds whose row is made from another one."""
