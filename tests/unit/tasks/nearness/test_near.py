"""Which rows are found to say nearly the same, and at what number of comparisons."""

import random
from collections.abc import Callable
from functools import cache
from itertools import combinations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.nearness.clusters import clusters
from tasks.nearness.near import JACCARD, MATCHES, PAIRS, choose_banding, near_pairs, near_pairs_between
from tasks.nearness.normal import normalise

SPACED = [
    "I ordered a new card more than a week ago and it still has not arrived, can you tell me where it is right now?",
    "The transfer to my savings account was declined twice this morning although there is enough money on it, please check why.",
    "Our printer on the third floor shows a paper jam since yesterday, but there is no paper stuck anywhere that I could find.",
    "After the latest update the laptop restarts by itself every twenty minutes, usually in the middle of a video call with clients.",
    "Please reset the password of the shared mailbox for invoices, three colleagues were locked out of it on Monday.",
    "The patient reports mild headaches in the evening, no fever, and asks whether the dose of the medicine can be reduced.",
    "Write a short poem about the sea in winter that does not rhyme and mentions neither waves nor wind.",
    "Which river flows through the capital of Austria, and into which sea does it finally empty after crossing ten countries?",
    "The tenant must give notice in writing three months before the end of the term, otherwise the lease is renewed for a year.",
    "Add two cups of flour, a pinch of salt and one egg, knead for ten minutes and let the dough rest under a damp cloth.",
    "def total(values): return sum(value for value in values if value is not none and value > 0) # skips gaps and negatives",
    "select name, count(*) from orders join customers on orders.customer = customers.id where year = 2023 group by name order by 2",
    "2024-03-01 12:00:07 error worker-17 lost the connection to the queue after 30 seconds, retrying in 5 seconds, attempt 4 of 10",
    "Flight AB1234 to Lisbon was cancelled at short notice and nobody at the desk could tell us who pays for the hotel.",
    "My daughter is allergic to nuts, so I would like to know which of your cakes are baked in a separate kitchen.",
    "The museum is closed on Tuesdays, but groups of ten or more can book a guided tour for any other morning.",
    "Revenue grew by eleven percent over the year while costs fell slightly, which the board attributes to the new warehouse.",
    "Turn left after the old bridge, follow the gravel road for two miles and park beside the red barn.",
    "Ich habe vor zehn Tagen eine neue Karte bestellt und sie ist immer noch nicht angekommen, können Sie bitte nachsehen?",
    "Die Heizung im Besprechungsraum lässt sich seit dem Wochenende nicht mehr abstellen, es sind dort fast dreißig Grad.",
    "Bitte senden Sie mir die Rechnung vom letzten Monat noch einmal zu, in der ersten fehlte die Umsatzsteuer.",
    "Der Zug nach Hamburg fällt heute aus, Reisende werden gebeten, die Verbindung über Hannover zu nehmen.",
    "Je n'arrive plus à me connecter à mon compte depuis que j'ai changé de téléphone, que dois-je faire maintenant?",
    "La réunion de jeudi est reportée à la semaine prochaine parce que la salle est occupée par un autre service.",
    "Le colis a été livré chez un voisin qui est parti en vacances, et personne ne peut me dire quand il revient.",
    "Quiero cancelar la suscripción de mi hijo porque ya no usa la aplicación, pero el botón no aparece en la página.",
    "El ordenador hace un ruido extraño al encenderse y después de unos minutos la pantalla se queda completamente negra.",
    "Vorrei sapere se è possibile cambiare la data della prenotazione senza pagare un supplemento, grazie mille.",
    "A impressora do segundo andar não imprime documentos coloridos desde a semana passada, podem enviar um técnico?",
    "Mijn fiets is gisteren gestolen bij het station en ik wil weten welke papieren ik voor de verzekering nodig heb.",
    "Nie mogę otworzyć załącznika z wczorajszej wiadomości, program twierdzi, że plik jest uszkodzony lub niepełny.",
    "Не могу войти в личный кабинет после смены пароля, система каждый раз сообщает, что код подтверждения неверный.",
    "Завтра в нашем офисе не будет горячей воды с девяти утра до шести вечера из-за ремонта труб в подвале.",
    "Ο λογαριασμός μου κλειδώθηκε αφού έγραψα τρεις φορές λάθος κωδικό, πώς μπορώ να τον ανοίξω πάλι σήμερα;",
    "Geçen hafta sipariş ettiğim ayakkabılar yanlış numara geldi, değiştirmek için ne yapmam gerekiyor acaba?",
    "لم تصلني البطاقة الجديدة حتى الآن رغم أنني طلبتها قبل أسبوعين، هل يمكنكم معرفة مكانها من فضلكم؟",
    "मेरा नया कार्ड दो हफ्ते पहले मंगाया गया था लेकिन अभी तक नहीं आया है, कृपया बताएं कि वह कहाँ है।",
    "지난주에 주문한 새 카드가 아직 도착하지 않았는데 지금 어디에 있는지 확인해 주실 수 있나요 부탁드립니다",
]
UNSPACED = [
    "我上周申请的新银行卡到现在还没有收到请帮我查一下目前寄到哪里了大概什么时候能送到我家",
    "昨天更新系统以后笔记本电脑每隔二十分钟就会自动重新启动开视频会议的时候特别不方便希望尽快解决",
    "会议室的空调从周末开始就关不掉了里面的温度已经接近三十度麻烦派一位师傅过来检查修理",
    "先週注文した新しいカードがまだ届いていないのですが現在どこにあるのか調べていただけますでしょうか",
    "三階のプリンターが昨日から紙詰まりの表示を出していますがどこを探しても詰まった紙は見つかりません",
    "บัตรใหม่ที่ฉันสั่งไปเมื่อสัปดาห์ที่แล้วยังมาไม่ถึงช่วยตรวจสอบให้หน่อยได้ไหมว่าตอนนี้อยู่ที่ไหนแล้ว",
]
TEXTS = [normalise(text) for text in SPACED + UNSPACED]
Edit = Callable[[list[str], int, random.Random], None]


def substitute(parts: list[str], place: int, chance: random.Random) -> None:
    parts[place] = chance.choice(parts)


def drop(parts: list[str], place: int, chance: random.Random) -> None:
    del parts[place]


def swap(parts: list[str], place: int, chance: random.Random) -> None:
    parts[place], parts[place - 1] = parts[place - 1], parts[place]


def add(parts: list[str], place: int, chance: random.Random) -> None:
    parts.insert(place, chance.choice(parts))


def mistype(parts: list[str], place: int, chance: random.Random) -> None:
    letters = list(parts[place])
    letters[chance.randrange(len(letters))] = chance.choice("aeinrst")
    parts[place] = "".join(letters)


EDITS: list[Edit] = [substitute, drop, swap, add, mistype]


def edited(text: str, edit: Edit, times: int, chance: random.Random) -> str:
    """Edits words, or pieces of two characters where words are not separated."""
    between = " " if text.count(" ") > 5 else ""
    parts = text.split() if between else [text[start : start + 2] for start in range(0, len(text), 2)]
    for _ in range(times):
        edit(parts, chance.randrange(1, len(parts)), chance)
    return between.join(parts)


@cache
def shingles(text: str) -> frozenset[str]:
    """The definition, one character at a time."""
    framed, found = f" {text}   ", set()
    for start in range(len(text) + 1):
        end, worth = start, 0
        while worth < 4:
            worth += 2 if any(low <= framed[end] <= high for low, high in ("\u2e80\ua4cf", "가힣", "\uf900\ufaff", "𠀀\U0003ffff")) else 1
            end += 1
        found.add(framed[start:end])
    return frozenset(found)


def similarity(left: str, right: str) -> float:
    first, second = shingles(left), shingles(right)
    return len(first & second) / len(first | second)


def pairs_of(texts: list[str], jaccard: float = JACCARD) -> dict[tuple[int, int], float]:
    return {(left, right): found for left, right, found in near_pairs(pl.Series(texts), jaccard=jaccard).iter_rows()}


def mixed_texts(count: int) -> list[str]:
    chance = random.Random(11)
    texts = [edited(chance.choice(TEXTS), chance.choice(EDITS), chance.randrange(1, 9), chance) for _ in range(count)]
    return sorted(set(texts), key=texts.index)


@pytest.mark.parametrize("jaccard", [0.4, 0.5, 0.65, 0.8])
def test_as_many_pairs_as_comparing_all_with_all_would_find(jaccard: float) -> None:
    texts = mixed_texts(300)
    every = {(left, right): similarity(texts[left], texts[right]) for left, right in combinations(range(len(texts)), 2)}
    expected = {pair: value for pair, value in every.items() if value >= jaccard}
    found = pairs_of(texts, jaccard)
    assert len(expected) > 30
    assert found.items() <= expected.items()
    assert len(found) >= 0.98 * len(expected)
    assert found.keys() >= {pair for pair, value in expected.items() if value >= jaccard + 0.05}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("times", [1, 2])
def test_one_or_two_small_edits_leave_a_row_near(edit: Edit, times: int) -> None:
    chance = random.Random(5)
    count, repeats = len(TEXTS), 5
    copies = [edited(text, edit, times, chance) for _ in range(repeats) for text in TEXTS]
    pairs = near_pairs(pl.Series(TEXTS + copies))
    home = clusters(pairs, count * (repeats + 1))
    assert (home[count:] == pl.Series([*range(count)] * repeats)).mean() >= 0.95
    assert (pairs["left"] % count == pairs["right"] % count).all()


def test_messages_between_the_same_greeting_and_signature_are_not_near() -> None:
    chance = random.Random(7)
    words = [text.split()[:14] for text in TEXTS[:18]]
    messages = [f"dear support team, {' '.join(body)} kind regards, maria from accounting" for body in words if len(body) == 14]
    copies = [edited(message, substitute, 1, chance) for message in messages]
    found = pairs_of(messages + copies)
    right = sum(left + len(messages) == right for left, right in found)
    assert right == len(messages) >= 15
    assert right >= 0.95 * len(found)


def test_the_same_words_in_another_order_are_not_near() -> None:
    chance = random.Random(3)
    shuffled = [" ".join(chance.sample(text.split(), len(text.split()))) for text in TEXTS[: len(SPACED)]]
    assert len(pairs_of(TEXTS + shuffled)) <= 0.05 * len(shuffled)


@given(st.lists(st.text("ab 水ア한", max_size=12), max_size=25), st.sampled_from([0.3, 0.65, 1.0]))
@settings(max_examples=40)
def test_every_pair_has_the_similarity_that_is_stated(texts: list[str], jaccard: float) -> None:
    for (left, right), found in pairs_of(texts, jaccard).items():
        assert left < right
        assert found >= jaccard
        assert found == similarity(texts[left], texts[right])


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_another_order_of_rows_only_changes_their_numbers(chance: random.Random) -> None:
    texts = mixed_texts(60)
    order = chance.sample(range(len(texts)), len(texts))
    moved = pairs_of([texts[row] for row in order])
    assert {(*sorted((order[left], order[right])), value) for (left, right), value in moved.items()} == {
        (left, right, value) for (left, right), value in pairs_of(texts).items()
    }


def test_equal_texts_are_paired_with_the_first_alone() -> None:
    texts = [TEXTS[0], TEXTS[1], *[TEXTS[0]] * 50_000, TEXTS[0] + " thanks"]
    pairs = near_pairs(pl.Series(texts))
    assert pairs.height == 50_001
    assert pairs["left"].unique().to_list() == [0]
    assert pairs.filter(pl.col("jaccard") < 1)["right"].to_list() == [50_002]


def test_boilerplate_gives_a_few_pairs_for_each_row_and_still_one_cluster() -> None:
    texts = pl.Series(
        [f"your code for the log-in is {number * 7919 % 100_000:05}. never share it, not even with us." for number in range(3000)]
    )
    pairs = near_pairs(texts)
    assert pairs.height < 16 * texts.len()
    assert clusters(pairs, texts.len()).n_unique() == 1


@pytest.mark.parametrize("texts", [[], [""], ["one row"]])
def test_fewer_than_two_rows_have_no_pairs(texts: list[str]) -> None:
    pairs = near_pairs(pl.Series(texts, dtype=pl.String))
    assert pairs.schema == PAIRS
    assert pairs.is_empty()


def test_empty_and_very_short_texts_are_near_only_if_they_are_equal() -> None:
    assert set(pairs_of(["", "a", "b", "no", "on", "", "a", "水", "火", "a"])) == {(0, 5), (1, 6), (1, 9)}


def test_null_counts_as_empty() -> None:
    assert near_pairs(pl.Series([None, "text", ""], dtype=pl.String)).rows() == [(0, 2, 1.0)]


def test_a_text_longer_than_a_block_of_work() -> None:
    chance = random.Random(1)
    long = " ".join(chance.choices(" ".join(TEXTS[:38]).split(), k=30_000))
    assert pairs_of([long, "short", long + " indeed"]).keys() == {(0, 2)}


@pytest.mark.parametrize("jaccard", [0.0, -0.5, 1.5, float("nan")])
def test_a_threshold_out_of_range_is_refused(jaccard: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        near_pairs(pl.Series(["a"]), jaccard=jaccard)


@pytest.mark.parametrize("percent", range(5, 95))
def test_bands_find_998_of_1000_pairs_that_are_a_little_above_the_threshold(percent: int) -> None:
    banding = choose_banding(percent / 100)
    assert banding.recall(percent / 100 + 0.05) >= 0.998
    assert banding.bands * banding.rows <= 512


def test_each_row_has_the_best_of_the_held_rows() -> None:
    mixed = mixed_texts(150)
    texts, held = mixed[:100] + mixed[:5], mixed[100:] + TEXTS
    found = {row: value for row, _, value in near_pairs_between(pl.Series(texts), pl.Series(held)).iter_rows()}
    best = {row: max(similarity(text, other) for other in held) for row, text in enumerate(texts)}
    assert found.items() <= best.items()
    assert found.keys() >= {row for row, value in best.items() if value >= JACCARD + 0.05}


def test_a_match_is_stated_with_its_similarity() -> None:
    mixed = mixed_texts(150)
    found = near_pairs_between(pl.Series(mixed[:100]), pl.Series(mixed[100:]))
    assert found.height > 20
    assert all(similarity(mixed[row], mixed[100 + other]) == value >= JACCARD for row, other, value in found.iter_rows())


def test_an_equal_held_row_is_the_first_of_them() -> None:
    found = near_pairs_between(pl.Series(["b c d", "x", "b c d"]), pl.Series(["a", "b c d", "b c d"]))
    assert found.rows() == [(0, 1, 1.0), (2, 1, 1.0)]


def test_rows_are_found_among_very_many_alike_held_rows() -> None:
    held = pl.Series(
        [f"your code for the log-in is {number * 7919 % 100_000:05}. never share it, not even with us." for number in range(2000)]
    )
    rows = held.str.replace("log-in", "sign-in")
    found = near_pairs_between(rows, held)
    assert found["row"].to_list() == list(range(2000))


@pytest.mark.parametrize(("texts", "held"), [([], ["a"]), (["a"], []), ([], []), (["a"], ["b"])])
def test_nothing_to_find_between(texts: list[str], held: list[str]) -> None:
    found = near_pairs_between(pl.Series(texts, dtype=pl.String), pl.Series(held, dtype=pl.String))
    assert found.schema == MATCHES
    assert found.is_empty()


@given(st.integers(1, 30).flatmap(lambda rows: st.tuples(st.just(rows), st.lists(st.tuples(*[st.integers(0, rows - 1)] * 2), max_size=40))))
def test_clusters_are_connected_components(graph: tuple[int, list[tuple[int, int]]]) -> None:
    rows, edges = graph
    expected = list(range(rows))
    for _ in range(rows):
        for left, right in edges:
            expected[left] = expected[right] = min(expected[left], expected[right])
    pairs = pl.DataFrame(edges, schema={"left": pl.Int64, "right": pl.Int64}, orient="row")
    assert clusters(pairs, rows).to_list() == expected


def test_no_rows_have_no_clusters() -> None:
    assert clusters(pl.DataFrame(schema=PAIRS), 0).is_empty()


def test_a_pair_beyond_the_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="there are 2 rows"):
        clusters(pl.DataFrame([(0, 2, 1.0)], schema=PAIRS, orient="row"), 2)
