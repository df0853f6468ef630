"""The generated table is what its truth says, and the paraphrases are fit to measure with."""

import ast
import base64
import ipaddress
import json
import random
import re
import sys
from collections import Counter
from pathlib import Path
from statistics import mean

import polars as pl
import pytest

from benchmarks import phrases, specimens
from benchmarks.faults import LONG_BUT_FINE, TOO_LONG, Row
from benchmarks.problems import DOMAINS
from benchmarks.rewrites import label_variant, near_variant, normalise
from benchmarks.rows_generator import HARD, NATURAL_RATES, TEXTS, TRUTH, main, plan, request_of, shards, shares, write
from benchmarks.vocabulary import SLOTS

ROOT = Path(__file__).parents[3]
PARAPHRASES = ROOT / "benchmarks" / "paraphrases.jsonl"
ROWS, SEED = 20_000, 11
NEAR_LEAST = 0.6
"""Char-5-gram Jaccard that each near duplicate has to its original at least."""
OF_ONE_LABEL = {label: domain for domain, labels in DOMAINS.items() for label in labels}


class Table:
    """The rows by id, and the truth by kind."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.truth: dict[str, list[tuple[str, str | None, str | None]]] = {}
        for part in shards(ROWS, SEED):
            self.rows |= dict(part.rows)
            for name, kind, origin, value in part.truth:
                self.truth.setdefault(kind, []).append((name, origin, value))

    def of(self, kind: str) -> list[Row]:
        return [self.rows[name] for name, _, _ in self.truth[kind]]

    def inputs(self, kind: str) -> list[str]:
        return [text_of(row) for row in self.of(kind)]

    def values(self, kind: str) -> list[str]:
        return [value for _, _, value in self.truth[kind] if value is not None]

    def pairs(self, kind: str) -> list[tuple[Row, Row]]:
        return [(self.rows[name], self.rows[origin]) for name, origin, _ in self.truth[kind] if origin is not None]

    def unmarked(self) -> list[Row]:
        marked = {name for found in self.truth.values() for name, _, _ in found}
        return [row for name, row in self.rows.items() if name not in marked]


@pytest.fixture(scope="module")
def table() -> Table:
    return Table()


def text_of(row: Row) -> str:
    assert isinstance(row.input, str)
    return row.input


def characters(text: str) -> set[str]:
    clean = normalise(text)
    return {clean[at : at + 5] for at in range(len(clean) - 4)}


def words(text: str) -> set[str]:
    found = re.findall(r"\w+", normalise(text))
    return {" ".join(found[at : at + 3]) for at in range(len(found) - 2)}


def jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other)


def passes_luhn(number: str) -> bool:
    """From the right, written apart from the generator: every second digit doubled, nine taken off where that has two digits."""
    total = 0
    for place, sign in enumerate(reversed(re.sub(r"\D", "", number))):
        digit = int(sign) * (2 if place % 2 else 1)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0


def passes_mod_97(iban: str) -> bool:
    """The remainder digit by digit, the first four signs moved to the end."""
    compact = iban.replace(" ", "")
    remainder = 0
    for sign in compact[4:] + compact[:4]:
        for digit in str("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(sign)):
            remainder = (10 * remainder + int(digit)) % 97
    return remainder == 1


# The table as a whole


def test_kinds_are_as_many_as_their_rates_say(table: Table) -> None:
    expected = {kind: round(rate * ROWS) for kind, rate in shares(NATURAL_RATES).items()}
    assert {kind: len(found) for kind, found in table.truth.items()} == {kind: count for kind, count in expected.items() if count}
    assert len(table.rows) == ROWS


def test_hard_negatives_are_as_many_as_faults(table: Table) -> None:
    hard = sum(len(found) for kind, found in table.truth.items() if kind.startswith(HARD))
    assert hard == sum(len(found) for kind, found in table.truth.items() if not kind.startswith(HARD))


def test_no_row_has_two_kinds(table: Table) -> None:
    assert max(Counter(name for found in table.truth.values() for name, _, _ in found).values()) == 1


def test_unmarked_rows_are_in_order(table: Table) -> None:
    for row in table.unmarked():
        assert text_of(row).strip()
        assert row.output in OF_ONE_LABEL
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]|<\||@|\d{5}", text_of(row))


def test_unrelated_rows_are_not_near(table: Table) -> None:
    for shingles in (characters, words):
        sets = [shingles(text_of(row)) for row in table.unmarked()[:250]]
        assert max(jaccard(one, other) for place, one in enumerate(sets) for other in sets[:place]) < NEAR_LEAST


def test_unmarked_texts_are_all_different(table: Table) -> None:
    texts = [normalise(text_of(row)) for row in table.unmarked()]
    assert len(set(texts)) == len(texts)


def test_every_slot_is_filled(table: Table) -> None:
    slot = re.compile(r"\{[a-z]+\}")
    assert [row for row in table.unmarked() if slot.search(text_of(row))] == []


def test_originals_are_rows_without_a_mark(table: Table) -> None:
    marked = {name for found in table.truth.values() for name, _, _ in found}
    origins = {origin for found in table.truth.values() for _, origin, _ in found if origin is not None}
    assert len(origins) > ROWS / 10
    assert not origins & marked


def test_the_words_are_many_and_none_is_listed_twice() -> None:
    problems = tuple(phrase for labels in DOMAINS.values() for stated in labels.values() for phrase in stated)
    endings = (*phrases.REQUESTS, *phrases.CLOSINGS)
    for listed, least in ((phrases.OPENINGS, 60), (problems, 200), (phrases.CONSEQUENCES, 60), (endings, 60)):
        assert len(set(listed)) == len(listed) >= least
    for values in SLOTS.values():
        assert len(set(values)) == len(values) >= 50


# Duplicates and labels


def test_exact_duplicates_are_equal_after_normalising_and_some_only_then(table: Table) -> None:
    pairs = table.pairs("exact_duplicate")
    for copy, origin in pairs:
        assert normalise(text_of(copy)) == normalise(text_of(origin))
        assert (copy.instruction, copy.output) == (origin.instruction, origin.output)
    assert 0.5 < mean(copy.input != origin.input for copy, origin in pairs) < 1


def test_near_duplicates_differ_and_stay_close(table: Table) -> None:
    similar = [jaccard(characters(text_of(copy)), characters(text_of(origin))) for copy, origin in table.pairs("near_duplicate")]
    assert all(normalise(text_of(copy)) != normalise(text_of(origin)) for copy, origin in table.pairs("near_duplicate"))
    assert min(similar) >= NEAR_LEAST
    assert max(similar) < 1
    assert min(similar) < 0.8 < mean(similar)


def test_near_duplicates_keep_their_label(table: Table) -> None:
    assert all(copy.output == origin.output for copy, origin in table.pairs("near_duplicate"))


def test_look_alikes_of_near_duplicates_share_words_but_ask_something_else(table: Table) -> None:
    found = table.truth[f"{HARD}near_duplicate"]
    shared = [jaccard(characters(text_of(row)), characters(text_of(origin))) for row, origin in table.pairs(f"{HARD}near_duplicate")]
    assert 0.25 < mean(shared) < 0.6
    assert max(shared) < 0.85
    for name, origin, _ in found:
        assert origin is not None
        problem = dict(request_of(SEED, int(origin[1:])).parts)["problem"]
        assert problem not in text_of(table.rows[name])


@pytest.mark.parametrize("kind", ["inconsistent_label", f"{HARD}inconsistent_label"])
def test_inconsistent_labels(table: Table, kind: str) -> None:
    for row, origin in table.pairs(kind):
        assert row.output != origin.output
        assert row.instruction == origin.instruction
        assert (row.input == origin.input) == (kind == "inconsistent_label")


def test_mixed_labels_are_no_labels_and_their_look_alikes_are(table: Table) -> None:
    assert not {row.output for row in table.of("mixed_label")} & set(OF_ONE_LABEL)
    assert {row.output for row in table.of(f"{HARD}mixed_label")} <= set(OF_ONE_LABEL)


def test_a_label_is_never_spelled_as_itself() -> None:
    rng = random.Random(0)
    assert all(label_variant(label, rng) != label for label in ("fees", "card_lost", "aa") for _ in range(50))


def test_a_short_text_gets_a_near_duplicate_too() -> None:
    rng = random.Random(0)
    for _ in range(200):
        assert normalise(near_variant("please block my card", rng)) != "please block my card"


# Broken rows


def test_blank_and_broken_fields(table: Table) -> None:
    assert all(not (row.output or "").strip() for row in table.of("empty_output"))
    assert all((row.output or "").strip() in OF_ONE_LABEL for row in table.of(f"{HARD}empty_output"))
    assert all(not text.strip() for text in table.inputs("whitespace_input"))
    assert all(text.strip() for text in table.inputs(f"{HARD}whitespace_input"))
    assert all(isinstance(row.input, int | float) for row in table.of("wrong_type"))
    assert all(isinstance(json.loads(text), dict) for text in table.inputs(f"{HARD}wrong_type"))


def test_control_characters(table: Table) -> None:
    control = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
    assert all(control.search(text) for text in table.inputs("control_characters"))
    assert not any(control.search(text) for text in table.inputs(f"{HARD}control_characters"))


def test_control_tokens(table: Table) -> None:
    token = re.compile(r"<\|\w+\|>|</?s>|\[/?INST\]|<<SYS>>|<(start|end)_of_turn>")
    assert all(token.search(text) for text in table.inputs("control_tokens"))
    assert not any(token.search(text) for text in table.inputs(f"{HARD}control_tokens"))


def test_lengths(table: Table) -> None:
    assert min(map(len, table.inputs("too_long"))) >= TOO_LONG
    assert min(map(len, table.inputs(f"{HARD}too_long"))) > LONG_BUT_FINE - 700
    assert max(map(len, table.inputs(f"{HARD}too_long"))) <= LONG_BUT_FINE


def test_refusals_are_answers_and_their_look_alikes_are_quoted_in_questions(table: Table) -> None:
    own_words = re.compile(r"\b(AI|language model|artificial intelligence|virtual assistant)\b")
    assert all(own_words.search(row.output or "") for row in table.of("refusal"))
    hard = table.of(f"{HARD}refusal")
    assert all(own_words.search(text_of(row)) and row.output in OF_ONE_LABEL for row in hard)


# Personal data and secrets


@pytest.mark.parametrize("kind", [*specimens.KINDS, *(f"{HARD}{kind}" for kind in specimens.KINDS)])
def test_what_was_planted_stands_in_the_text(table: Table, kind: str) -> None:
    rows = table.truth[kind]
    assert rows
    assert all(value is not None and value in text_of(table.rows[name]) for name, _, value in rows)


def test_cards_pass_the_luhn_check_and_their_look_alikes_fail_it(table: Table) -> None:
    assert all(passes_luhn(value) and 14 <= len(re.sub(r"\D", "", value)) <= 16 for value in table.values("card"))
    assert not any(passes_luhn(value) for value in table.values(f"{HARD}card"))


def test_ibans_pass_mod_97_and_their_look_alikes_fail_it_or_name_no_country(table: Table) -> None:
    assert all(passes_mod_97(value) for value in table.values("iban"))
    assert all(value.startswith("RF") or not passes_mod_97(value) for value in table.values(f"{HARD}iban"))


def test_mails_have_reserved_domains(table: Table) -> None:
    address = re.compile(r"[a-z][\w.+-]*@([a-z-]+\.)?(example|example\.(com|org|net))", re.IGNORECASE)
    assert all(address.fullmatch(value) for value in table.values("email"))
    assert not any(address.search(value) for value in table.values(f"{HARD}email"))


def test_phone_numbers_have_the_length_of_e_164(table: Table) -> None:
    assert all(8 <= len(re.sub(r"\D", "", value)) <= 15 for value in table.values("phone"))
    assert 0.2 < mean(value.startswith("+") for value in table.values("phone")) < 0.9


def test_addresses_are_read_by_the_standard_library(table: Table) -> None:
    versions = Counter(ipaddress.ip_address(value).version for value in table.values("ip"))
    assert min(versions[4], versions[6]) > 10
    assert all(re.search(r"version|firmware|MAC|clause|stopped at", text) for text in table.inputs(f"{HARD}ip"))


def national(value: str) -> str | None:
    """The kind of id that the value is by the published rules, if it is any."""
    letters, digits = "TRWAGMYFPDXBNJZSQVHLCKE", re.sub(r"[ -]", "", value)
    if re.fullmatch(r"[\dXYZ]\d{7}[A-Z]", digits):
        number = int(digits[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2"))
        return "dni" if letters[number % 23] == digits[-1] else None
    if match := re.fullmatch(r"(\d{3})[ -](\d\d)[ -](\d{4})", value):
        area, group, serial = map(int, match.groups())
        return "ssn" if 0 < area < 900 and area != 666 and group and serial else None
    if re.fullmatch(r"[1-9]\d{10}", digits):
        repeats = sorted(Counter(digits[:10]).values())
        return "tax" if repeats == [1] * 8 + [2] and specimens.tax_id_digit(digits[:10]) == digits[10] else None
    return None


def test_national_ids_keep_their_rules_and_look_alikes_break_them() -> None:
    rng = random.Random(5)
    found = Counter(national(specimens.specimen("national_id", rng).value) for _ in range(1_000))
    assert found[None] == 0
    assert min(found[kind] for kind in ("dni", "ssn", "tax")) > 100
    assert {national(specimens.lookalike("national_id", rng).value) for _ in range(1_000)} == {None}


def test_secrets_have_the_published_shapes(table: Table) -> None:
    shapes = re.compile(
        r"AKIA[A-Z2-7]{16}|gh[pos]_\w{36}|github_pat_\w{82}|xoxb-\d+-\d+-\w{24}|[sr]k_test_\w{24}|glpat-\w{20}|AIza[\w-]{35}"
        r"|eyJ[\w-]+\.eyJ[\w-]+\.[\w-]{43}|-----BEGIN ([A-Z]+ )*PRIVATE KEY-----\n.*-----END ([A-Z]+ )*PRIVATE KEY-----",
        re.DOTALL,
    )
    rng = random.Random(6)
    values = [specimens.specimen("secret", rng).value for _ in range(300)]
    assert all(shapes.fullmatch(value) for value in values + table.values("secret"))
    assert not any(shapes.search(specimens.lookalike("secret", rng).value) for _ in range(300))
    token = next(value for value in values if value.startswith("eyJ"))
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "===")) == {"alg": "HS256", "typ": "JWT"}


def test_check_digits_agree_with_known_examples() -> None:
    assert specimens.luhn_digit("411111111111111") == "1"
    assert specimens.luhn_digit("7992739871") == "3"
    assert specimens.iban_check("DE", "370400440532013000") == "89"
    assert specimens.iban_check("GB", "WEST12345698765432") == "82"
    assert specimens.dni_letter(12345678) == "Z"
    assert specimens.tax_id_digit("8609574271") == "9"


# Reproducible, and written as promised


def test_a_seed_gives_the_same_table_and_another_seed_another(tmp_path: Path) -> None:
    files = [write(tmp_path / name, 1_000, seed, "jsonl") for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    one, same, other = (file.read_bytes() for file in files)
    assert one == same != other
    truths = [pl.read_parquet(file.with_name("truth.parquet")) for file in files]
    assert truths[0].equals(truths[1])
    assert not truths[0].equals(truths[2])


def test_both_forms_hold_the_same_rows_except_those_that_parquet_cannot(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in write(tmp_path, 2_000, 3, "jsonl").read_text(encoding="utf-8").splitlines()]
    kinds = dict(pl.read_parquet(tmp_path / "truth.parquet").select("row_id", "kind").iter_rows())
    rows = pl.read_parquet(write(tmp_path, 2_000, 3, "parquet"))
    truth = pl.read_parquet(tmp_path / "truth.parquet")
    assert (rows.schema, truth.schema) == (TEXTS, TRUTH)
    different = [one["row_id"] for one, other in zip(lines, rows.iter_rows(named=True), strict=True) if one != other]
    assert {kinds[name] for name in different} == {"wrong_type"}
    assert "wrong_type" not in set(truth["kind"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "rows.parquet", "truth.parquet"]


def test_rows_of_several_parts_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.rows_generator._SHARD", 300)
    rows = pl.read_parquet(write(tmp_path / "parts", 1_000, 3, "parquet"))
    monkeypatch.undo()
    assert rows.equals(pl.read_parquet(write(tmp_path / "whole", 1_000, 3, "parquet")))


def test_a_rate_can_be_set_and_a_fault_left_out() -> None:
    planned = plan(5_000, 1, {"card": 0.1, "email": 0.0})
    counts = Counter(planned.names[code] for code in planned.kinds.tolist())
    assert counts["card"] == counts[f"{HARD}card"] == 500
    assert counts["email"] == 0
    assert counts["plain"] == 4_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--rate", "karte=0.1"], "unknown kind"), (["--rate", "card=0.9"], "0.8 at most"), (["--rows", "10"], "expected 1000")],
)
def test_what_cannot_be_made_is_refused(tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "out"), *arguments])
    assert message in capsys.readouterr().err


def test_the_command_line_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path), "--rows", "1000", "--seed", "2", "--form", "jsonl", "--rate", "email=0.05"])
    assert "1000 rows" in capsys.readouterr().out
    truth = pl.read_parquet(tmp_path / "truth.parquet")
    assert truth.filter(pl.col("kind") == "email").height == 50


# Apart from the project


def reached(name: str, seen: dict[str, set[str]]) -> dict[str, set[str]]:
    """What the module imports, and what those of its modules that lie beside it import."""
    tree = ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"))
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    found |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    seen[name] = found
    for inner in sorted(found):
        if inner.startswith("benchmarks.") and inner not in seen:
            reached(inner, seen)
    return seen


def test_the_generator_knows_nothing_of_what_it_measures() -> None:
    modules = reached("benchmarks.rows_generator", {})
    outside = {name.split(".")[0] for found in modules.values() for name in found} - set(sys.stdlib_module_names)
    print(f"{len(modules)} modules checked")
    assert len(modules) >= 7
    assert outside == {"benchmarks", "numpy", "polars"}


# Paraphrases


def paraphrases(same: bool) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in PARAPHRASES.read_text(encoding="utf-8").splitlines()]
    assert all(set(line) == {"text", "other", "same"} and isinstance(line["same"], bool) for line in lines)
    return [(line["text"], line["other"]) for line in lines if line["same"] is same]


@pytest.mark.parametrize("same", [True, False])
def test_there_are_enough_pairs_of_each_kind_in_varied_lengths(same: bool) -> None:
    lengths = [len(text.split()) for pair in paraphrases(same) for text in pair]
    assert len(lengths) >= 2 * 210
    assert min(lengths) >= 5
    assert max(lengths) <= 45
    assert sum(length >= 20 for length in lengths) >= 40


def test_no_text_is_repeated() -> None:
    texts = [normalise(text) for same in (True, False) for pair in paraphrases(same) for text in pair]
    assert [text for text, times in Counter(texts).items() if times > 1] == []


def test_shared_words_do_not_tell_paraphrases_from_look_alikes() -> None:
    """Counting words would put them the wrong way round: that makes them a measure of meaning."""

    def overlap(same: bool) -> float:
        return mean(jaccard(*(set(re.findall(r"\w+", text.casefold())) for text in pair)) for pair in paraphrases(same))

    assert overlap(True) < 0.15 < 0.4 < overlap(False)
