"""Common irregular forms of English verbs and nouns, for a WordNet that comes without its own lists (npm's does)."""

from typing import Literal

_VERBS = """
arise arose arisen; awake awoke awoken; bear bore borne; beat beat beaten; become became become; begin began begun; bend bent; bet bet;
bind bound; bite bit bitten; bleed bled; blow blew blown; break broke broken; bring brought; build built; burn burnt burned; burst
burst; buy bought; cast cast; catch caught; choose chose chosen; cling clung; come came come; cost cost; creep crept; cut cut; deal
dealt; dig dug; do did done does; draw drew drawn; dream dreamt dreamed; drink drank drunk; drive drove driven; eat ate eaten; fall fell
fallen; feed fed; feel felt; fight fought; find found; flee fled; fly flew flown; forbid forbade forbidden; forget forgot forgotten;
forgive forgave forgiven; freeze froze frozen; get got gotten; give gave given; go went gone goes; grow grew grown; hang hung; have had
has; hear heard; hide hid hidden; hit hit; hold held; hurt hurt; keep kept; know knew known; lay laid; lead led; lean leant leaned; leap
leapt leaped; learn learnt learned; leave left; lend lent; let let; lie lay lain; light lit; lose lost; make made; mean meant; meet met;
mistake mistook mistaken; overcome overcame overcome; pay paid; prove proved proven; put put; quit quit; read read; rid rid; ride rode
ridden; ring rang rung; rise rose risen; run ran run; say said; see saw seen; seek sought; sell sold; send sent; set set; sew sewed
sewn; shake shook shaken; shed shed; shine shone; shoot shot; show showed shown; shrink shrank shrunk; shut shut; sing sang sung; sink
sank sunk; sit sat; sleep slept; slide slid; smell smelt smelled; speak spoke spoken; speed sped; spell spelt spelled; spend spent;
spill spilt spilled; spin spun; split split; spoil spoilt spoiled; spread spread; spring sprang sprung; stand stood; steal stole stolen;
stick stuck; strike struck; strive strove striven; swear swore sworn; sweep swept; swim swam swum; swing swung; take took taken; teach
taught; tear tore torn; tell told; think thought; throw threw thrown; undergo underwent undergone; understand understood; undertake
undertook undertaken; undo undid undone; upset upset; wake woke woken; wear wore worn; weave wove woven; weep wept; win won; wind wound;
withdraw withdrew withdrawn; withhold withheld; write wrote written; admit admitted admitting; ban banned banning; beg begged begging;
chat chatted chatting; commit committed committing; compel compelled compelling; control controlled controlling; defer deferred
deferring; drop dropped dropping; equip equipped equipping; fit fitted fitting; grab grabbed grabbing; incur incurred incurring; occur
occurred occurring; omit omitted omitting; permit permitted permitting; plan planned planning; prefer preferred preferring; rebut
rebutted rebutting; refer referred referring; regret regretted regretting; rob robbed robbing; ship shipped shipping; shop shopped
shopping; skip skipped skipping; slip slipped slipping; stop stopped stopping; submit submitted submitting; swap swapped swapping; tip
tipped tipping; transfer transferred transferring; transmit transmitted transmitting; trap trapped trapping; trim trimmed trimming; wrap
wrapped wrapping; die dying; tie tying; lie lying
"""
_NOUNS = """
analysis analyses; basis bases; child children; crisis crises; criterion criteria; foot feet; goose geese; half halves; hypothesis
hypotheses; knife knives; leaf leaves; life lives; loaf loaves; mouse mice; ox oxen; person people; phenomenon phenomena; self selves;
shelf shelves; thesis theses; thief thieves; tooth teeth; wife wives; wolf wolves
"""


def irregular_forms(part: Literal["noun", "verb", "adj", "adv"]) -> dict[str, tuple[str, ...]]:
    """Base forms by irregular form, as WordNet's own lists have them."""
    table = {"noun": _NOUNS, "verb": _VERBS}.get(part, "")
    bases: dict[str, tuple[str, ...]] = {}
    for base, *forms in (line.split() for line in table.split(";") if line.strip()):
        for form in forms:
            bases[form] = (*bases.get(form, ()), base)
    return bases
