"""Pairs of words that WordNet's counts take for one and a reader does not. Read by eye on many children; either way round."""

_OTHER_COMPANY = """
say/tell state/tell state/say keep/maintain show/demonstrate ask/inquire live/populate live/inhabit concern/pertain refund/repay go/travel
go/move move/travel put/lay place/lay respond/react struggle/fight let/permit let/allow help/aid assist/aid continue/proceed point/indicate
enjoy/bask rise/arise arise/originate agree/concur tend/incline view/consider regard/consider talk/speak
"""
"""They want another object, clause or infinitive beside them."""
_OTHER_STYLE = """
want/desire use/employ utilize/employ provide/furnish supply/furnish render/provide extra/surplus reach/attain achieve/attain close/shut
way/manner way/mode way/fashion way/style style/manner style/fashion style/mode fashion/manner fashion/mode manner/mode request/petition
mean/intend usually/commonly normally/commonly usually/ordinarily normally/ordinarily idea/thought use/usage use/utilization confirm/affirm
confirm/corroborate confirm/substantiate require/necessitate need/necessitate result/ensue horrible/frightful calculate/figure
compute/figure calculate/reckon figure/reckon question/interrogation regard/respect car/automobile bunch/clump bunch/cluster fellow/lad
baby/babe creature/beast peculiar/queer curious/queer slam/bang attack/assail attempt/effort
try/effort interpret/construe swear/curse cloth/textile comrade/companion
outrageous/hideous seize/clutch mom/mama mom/mamma
darned/damned rush/rushing hence/thus locality/neighborhood city/metropolis
sweat/perspiration plane/airplane smell/odor commonly/ordinarily worry/headache apparently/seemingly repair/mend
"""
"""Most people would not write the one where they write the other."""
_OTHER_MEANING = """
duplicate/double activate/trigger activate/spark approve/sanction limit/confine minimum/minimal maximum/maximal simply/merely just/merely
only/merely feature/characteristic resident/occupant family/household urgently/desperately link/associate plan/program directly/straight
matter/affair play/drama full/entire soon/presently quick/fleet ensure/assure insure/assure ensure/insure child/minor state/province
satisfy/fulfill study/analyze face/confront separate/divide race/rush spring/bound spring/leap plant/works commission/committee
marketing/selling manager/coach individual/single load/burden arouse/elicit arouse/evoke holding/retention guide/steer negate/contradict
quit/discontinue earth/globe earth/ground courier/messenger stone/rock program/plan constantly/invariably conclusion/decision
religious/spiritual level/degree war/warfare animal/creature reveal/uncover chance/opportunity small/little task/project red/crimson
philosophy/doctrine vote/ballot era/epoch remain/stay disaster/tragedy author/writer student/pupil
overseas/abroad determine/ascertain economic/economical relish/bask range/scope scheme/strategy vacate/resign harbor/seaport lack/deficiency
test/trial suspicion/hunch experiment/experimentation recommend/advocate twist/writhe encourage/promote abut/butt trouble/worry
"""
"""They mean the same less often than the tagged texts tell, which are few, and old."""

APART: frozenset[frozenset[str]] = frozenset(
    frozenset(pair.split("/")) for pairs in (_OTHER_COMPANY, _OTHER_STYLE, _OTHER_MEANING) for pair in pairs.split()
)
