"""How answers begin that decline, in English, German, French and Spanish: expressions for polars over small letters.

Each language has the same parts: an apology, who cannot (or will not), what an assistant is asked to do, and a machine that speaks of
itself. Verbs that people use of their own troubles ("I can't access this folder") count after an apology only.
"""

import polars as pl

_READ = 300
_BEFORE, _AFTER = " \t\r\n\"'*_#>-:“”„«»", " \t\r\n\"'*"


def _any(*choices: str) -> str:
    return f"(?:{'|'.join(choices)})"


def _maybe(*choices: str) -> str:
    return f"{_any(*choices)}?"


_HELLO = _maybe(r"(?:hello|hi|hey|thanks|thank you)\b[^.!?,]*[.!?,] ?(?:but )?")
_ALTHOUGH = _maybe(
    r"(?:please (?:note|understand|be aware)|i (?:must|have to|need to|should) (?:inform you|tell you|say|point out|admit)|it (?:seems|"
    r"appears))[^.!?:\"]*?",
    r"(?:while|although|i|for|due to|because of|given)\b[^.!?:\"]*[,;] (?:but )?",
    r"[^.!?:\"]*[.!?,;] (?:but |so |and |therefore,? |however,? |unfortunately,? )*",
)
"""A first clause or sentence, as long as it announces nobody's words."""
_SORRY = (
    _maybe(r"(?:no|oh|well|oh no)[,.]? ")
    + _any(
        r"(?:i'm|i am|we're|we are) (?:\w+ )?(?:sorry|afraid)", "sorry", "unfortunately", "regrettably", "regretfully", "sadly",
        "apologies", r"(?:please )?(?:forgive|pardon|excuse) me", r"(?:please accept )?(?:my|our) (?:\w+ )?apolog(?:y|ies)", r"with regret",
        r"(?:i|we) (?:\w+ )?(?:\w+ )?(?:apologi[sz]e|regret)",
    )
    + _maybe(r" to (?:say|inform you|tell you)", r" for (?:the|any) \w+")
    + r"(?:\W+(?:but|that|however|unfortunately))*\W+"
)  # fmt: skip
_CANNOT = (
    _any(
        "can't", "cannot", "can not", "couldn't", "could not", "won't", "will not", "won't be able to", "will not be able to",
        r"(?:am|are|'m|'re)(?: \w+ly)? (?:unable|prohibited|forbidden|prevented) (?:to|from)",
        r"(?:am|'m) (?:not |un)comfortable(?: with)?",
        r"(?:am|are|'m|'re|was)(?: \w+ly)? not (?:\w+ly )?(?:able|allowed|permitted|authori[sz]ed|programmed|designed|trained|going|"
        r"willing|equipped|prepared|in a position|at liberty|here|meant|supposed) to",
        r"(?:must|have to|need to)(?: \w+ly)? (?:decline to|refuse to|refrain from|avoid)", r"(?:\w+ly )?(?:decline|refuse) to",
        r"(?:have no|lack the) (?:way|means|ability|capability|permission|authority) (?:to|of)", r"prefer not(?: to)?",
        r"(?:would|'d) (?:rather|prefer) not(?: to)?",
        r"(?:do not|don't) have (?:the (?:\w+ )?)?(?:ability|capability|capacity|means|permission|authority) to",
        r"(?:do not|don't) (?:feel (?:able to|comfortable(?: with)?)|want to|think i can|think i should|believe i can|believe i should)",
    )
    + r"(?: \w+ly)?(?: in good (?:conscience|faith))?"
)  # fmt: skip
_TASK = (
    r"(?:request|question|query|task|message|text|content|prompt|topic|subject|matter|kind|type|sort|material|instruction|conversation|"
    r"input|one)s?\b"
)
_THIS = (
    r" (?:\w+ )?(?:(?:with|on|about|to|for) )?(?:that|this|these|those|such|any|your|what you|so|it|the (?:\w+ )?(?:request|question|"
    r"task)\w*)\b"
)
_SERVE = _any(
    r"(?:help|assist|helping|assisting)(?:\W*$|[.,;!]| (?:\w+ )?(?:with|in|on|by|here|out|there)\b| you\b)", r"comply(?:ing)?\b",
    r"fulfil", r"oblige\b", r"cooperate\b", r"be of (?:\w+ )?(?:help|assistance|service)", r"(?:engag|participat)(?:e|ing) in\b",
    r"do (?:that|so)\W*(?:$|[.,;!])", r"take (?:part in|on) (?:that|this|such)\b",
    r"(?:answer|discuss|provide|generate|offer|disclose|reveal|advise|comment|respond|accommodate|honou?r)(?:ing)?" + _THIS,
    r"(?:answer|discuss|provid|generat|shar|advis|comment)(?:ing)" + _THIS,
    r"(?:provid|giv|offer|shar)(?:e|ing) (?:\w+ ){0,2}(?:advice|instructions?|information|guidance|assistance|opinions?|content|help|"
    r"diagnos[ie]s)\b",
    r"(?:determine|assign|choose|select|provide|give) (?:an?|any|the) (?:\w+ )?(?:category|label|class|intent|answer)\b",
    r"(?:answer|respond to|reply to|judge|decide|determine|assign|categori[sz]e|classify|label|evaluate|assess|analy[sz]e|interpret|rate|"
    r"process|complete|handle|perform|carry out|continue(?: with)?|proceed with|work (?:on|with)|deal with|act on|follow|grant|satisfy|"
    r"support|translate|summari[sz]e|write|create) (?:to )?(?:that|this|these|those|such|your|the|any)(?: \w+)? " + _TASK,
)  # fmt: skip
_MAKE = _any(
    r"(?:provid|generat|creat|writ|produc|offer|shar|disclos|reveal|discuss|endors|promot|recommend|advis|suggest|diagnos|predict|"
    r"translat|summari[sz]|classif|categori[sz]|pretend|answer|respond|repl|comment|determin|identif|verif|assign|label|evaluat|assess|"
    r"analy[sz]|interpret|explain|describ|calculat|comput|estimat|guess|speculat|compar|judg|decid|choos|select|rank|rephras|paraphras|"
    r"engag|assist|simulat|impersonat|fulfil|compl)(?:e|y|ing|ying|l)?\b",
    r"give (?:you|out|an|advice|instructions|information|details|medical|legal|financial|personal)\b", r"(?:talk|speak) about\b",
    r"(?:tell|say|name|list|search|retrieve|look up|review|edit|correct)" + _THIS, r"tell you\b", r"take (?:sides|a position|part)\b",
    r"(?:do|access|process|complete|continue|perform|handle|support|carry out|proceed|address|work|deal|act|go|follow|grant)" + _THIS,
    r"(?:access|browse|open|view) (?:the (?:internet|web)|links?|files?|images?|websites?)",
)  # fmt: skip
_MACHINE = (
    r"an? (?:\w+ )?(?:ai|a\.i\.|artificial intelligence|language model|llm|(?:chat)?bot|computer program|machine|assistant|virtual agent)"
    + (r"(?:[ -](?:powered|based|language|text|chat|model|assistant|chatbot|bot|system|program|tool))*")
)
_MADE = r"(?:trained|developed|created|made|built|designed)"
_NOT = r"\b(?:not|cannot|unable|no|never|lack|only|beyond|outside|without|sorry|\w+n't)\b"
_RULES = (
    r"(?:(?:my|our|openai's) (?:\w+ )?(?:guidelines|programming|policy|policies|rules|principles|terms|training|design|instructions|"
    r"purpose)|"
    r"(?:the )?(?:safety|ethical|content|usage) (?:guidelines|policy|policies))"
)
_LIMITS = (
    rf"(?:{_RULES}|(?:the (?:scope|limits?|range) of )?(?:what i\b|my (?:\w+ )?(?:\w*scope|capabilit|abilit|expertise|knowledge|purpose)))"
)
_ENGLISH = (
    rf"{_ALTHOUGH}{_SORRY}(?:[^.!?]*\b)?i ?{_CANNOT} {_any(_SERVE, _MAKE)}",
    rf"{_ALTHOUGH}(?:no[,.] )?(?:but |however,? )?i ?{_CANNOT} {_SERVE}",
    rf"{_maybe(_SORRY)}(?:unable|not able) to {_SERVE}",
    rf"{_SORRY}(?:can't|cannot) {_SERVE}",
    rf"{_SORRY}we ?{_CANNOT} (?:help|assist|comply|fulfil|answer|discuss)(?:\W*$|{_THIS})",
    rf"{_maybe(_SORRY)}(?:the|this) (?:ai|assistant|model|chatbot) (?:can't|cannot|won't|is (?:unable|not able) to) {_any(_SERVE, _MAKE)}",
    rf"{_SORRY}[^.!?]*\b{_TASK}[^.!?]* (?:can't|cannot|can not|could not) be (?:answer|process|fulfil|complet|handl|classif|discuss|"
    rf"perform)",
    rf"{_SORRY}i (?:do not|don't) (?:\w+ )?have (?:\w+ )?access to\b",
    r"i (?:do not|don't) (?:\w+ )?have (?:\w+ )?access to (?:the (?:internet|web)|real-time|current|live|external|up-to-date)",
    rf"{_maybe(_SORRY)}i (?:do not|don't) (?:\w+ )?have (?:any )?(?:(?:personal|real-time|up-to-date) (?:\w+ )?(?:experience|preference|"
    r"information|data|access)|(?:\w+ )?(?:opinions|beliefs|feelings|emotions|consciousness)\b)",
    rf"{_maybe(_SORRY)}i(?: must|(?: will|'ll| am going to|'m going to)? have to| need to)(?: \w+ly)? (?:decline|refuse|pass)\b",
    rf"{_maybe(_SORRY)}i ?(?:(?:\w+ly )?decline\b|(?:'d |would )?(?:rather|prefer) not(?: to)?\W*$)",
    rf"{_maybe(_SORRY)}i(?:'m| am| was)? not (?:programmed|designed|trained|built) to\b",
    rf"{_maybe(_SORRY)}(?:as|being) {_MACHINE}(?:[,.;:]| (?:{_MADE}|and|so|i|my)\b).*(?:\b(?:i|my)\b.*{_NOT}|{_NOT}.*\b(?:i|my|me)\b)",
    rf"{_maybe(_SORRY)}i(?:'m| am) (?:just |only |merely |simply )?{_MACHINE}(?:[,.;]| (?:and|so|without|that|{_MADE})\b).*{_NOT}",
    rf"{_maybe(_SORRY)}(?:that|this|it)(?:'s not| is not| isn't) (?:something|a (?:\w+ )?{_TASK}) (?:that )?i(?:'m| am)? ?(?:can|able|"
    rf"allowed)\b",
    rf"{_maybe(_SORRY)}(?:that|this|it)(?:'s| is) (?:something|a (?:\w+ )?{_TASK}) (?:that )?i(?:'m| am)? ?(?:cannot|can't|not able|unable|"
    r"won't|will not|not allowed)\b",
    rf"{_maybe(_SORRY)}i(?:'ve been|'m| am| was| have been) (?:programmed|designed|trained|instructed|required|asked) (?:not to|to "
    rf"(?:avoid|"
    r"refuse|decline|refrain))\b",
    rf"{_maybe(_SORRY)}i (?:do not|don't) (?:think|believe|feel) (?:that )?it(?:'s| is| would be) (?:appropriate|right|ethical|a good "
    rf"idea)\b",
    rf"{_maybe(_SORRY)}i(?: can only| am only able to|'m only able to|'m only here to) (?:help|assist|answer|provide|discuss|respond)\b",
    rf"{_SORRY}i (?:do not|don't) have (?:enough|sufficient|the necessary) (?:information|context|data|knowledge)\b",
    rf"{_maybe(_SORRY)}(?:this|that|it|your)\b[^.]* (?:against|violates?|violating|breach(?:es)?|outside|beyond|prohibited by)(?: of)? "
    rf"{_LIMITS}",
    rf"{_maybe(_SORRY)}{_RULES} (?:do not|don't|does not|doesn't|prevent|prohibit|forbid|keep|limit|restrict)",
    rf"{_maybe(_SORRY)}(?:that|this|it)(?: is|'s| would be| isn't| wouldn't be) (?:not )?(?:possible|impossible|inappropriate|unethical|"
    r"wrong|appropriate|ethical) for me to",
    rf"{_maybe(_SORRY)}(?:that|this|it)(?: is|'s| would be| isn't| wouldn't be) (?:not )?(?:\w+ and )?(?:in|un|ir)?(?:appropriate|"
    r"ethical|responsible) to (?:provide|help|assist|generate|create|write|discuss|answer|engage|fulfil|comply)\b",
    rf"(?:i'm|i am) {_MACHINE}(?:,? (?:that was )?{_MADE} (?:by|to) [^.]*)?[.!]?(?: how (?:can|may) i (?:help|assist) you[^?]*\?)?$",
    r"i hope (?:this|that|it) helps[.! ]*$",
    r"(?:please )?(?:let me know if|feel free to ask)\b[^.!]*[.! ]*$",
    r"(?:sure|certainly|of course|absolutely|okay|great)[,.!]? (?:here(?:'s| is| are) [^.:]*:|(?:i'd be|i would be|i'm|i am) (?:happy|"
    r"glad) to (?:help|assist)[^.!]*)[.! ]*$",
)

_DE_SORRY = (
    _any(r"(?:es )?tut mir (?:\w+ )?leid", "(?:ich )?bedau?ere?", "entschuldigung", r"entschuldigen? sie", "verzeihung", "leider", "nein")
    + r"(?:\W+(?:aber|dass|doch|leider|da|jedoch))*\W*"
)
_DE_SERVE = _any(
    "helfen", "weiterhelfen", "behilflich", "unterstützen", "beantworten", "antworten", "erfüllen", "nachkommen", "bereitstellen",
    "zur verfügung stellen", "geben", "liefern", "erstellen", "schreiben", "generieren", "anbieten", "diskutieren", "verfassen", "beraten",
    "bestimmen", "zuordnen", "einordnen", "klassifizieren", "beurteilen", "bearbeiten", "durchführen", "verarbeiten", "sagen", "tun",
)  # fmt: skip
_DE_I_CAN = (
    r"(?:ich (?:kann|darf|möchte|werde)|(?:(?:das|dabei|dazu|darüber|damit|hierbei|hierzu|diese\w* \w+) )?(?:kann|darf|möchte|werde) ich)\b"
)
_DE_MACHINE = r"(?:eine? )?(?:\w+ )?(?:ki|k\.i\.|künstliche intelligenz|sprachmodell|chatbot|(?:virtueller|digitaler) assistent)(?:-\w+)*"
_GERMAN = (
    rf"{_DE_SORRY}{_DE_I_CAN}[^.!]*\b(?:nicht|kein\w*|nichts)\b[^.!]*{_DE_SERVE}",
    rf"{_DE_I_CAN}[^.!]*\b(?:nichts?|kein\w*)\b (?:\w+ ){{0,3}}{_DE_SERVE}",
    rf"{_maybe(_DE_SORRY)}ich bin (?:leider )?nicht (?:in der lage|befugt|berechtigt)",
    rf"{_maybe(_DE_SORRY)}ich muss (?:diese|ihre|deine|das|die)\b[^.]*ablehnen",
    rf"{_maybe(_DE_SORRY)}als {_DE_MACHINE}\b.*\b(?:ich|mir|mich)\b.*\b(?:nicht|kein\w*|nur|weder)\b",
    rf"{_maybe(_DE_SORRY)}ich bin (?:nur |lediglich |leider )?{_DE_MACHINE}\b.*\b(?:nicht|kein\w*|nur|weder)\b",
    rf"ich bin {_DE_MACHINE}(?:,? (?:die |das |der )?von [^.]*)?[.!]?(?: wie kann ich [^?]*\?)?$",
)

_FR_SORRY = (
    _any(
        r"(?:je suis |nous sommes )?(?:\w+ )?désolée?s?", "je regrette", "je m'excuse", "excusez-moi", "(?:toutes )?mes excuses",
        "malheureusement", "non",
    )
    + r"(?:\W+(?:mais|que|malheureusement))*\W*"
)  # fmt: skip
_FR_CANNOT = (
    r"je ne (?:peux|puis|pourrai|suis|souhaite)(?: \w+)? ?pas(?: en mesure| capable| autorisée?| habilitée?)?(?: de)?"
    r"|je ne (?:peux|puis|suis) \w+ pas(?: de)?|il m'est (?:\w+ )?impossible de|je n'ai pas(?: la capacité| la possibilité| le "
    r"droit)?(?: de)?"
)
_FR_SERVE = r"(?:vous |t'|te |l'|les |y |en )?" + _any(
    r"aider\b", "assister", "répondre", "fournir", "donner", "générer", "créer", "écrire", "rédiger", "produire", "discuter", "satisfaire",
    "accéder", "partager", "conseiller", "accès", "d'opinion", "d'avis", "faire (?:cela|ça)", "classer",
    "classifier", "déterminer", "identifier", "traiter", "effectuer", "divulguer", "commenter", "parler de",
)  # fmt: skip
_FR_MACHINE = (
    r"(?:une? )?(?:simple )?(?:ia|i\.a\.|intelligence artificielle|(?:grand )?modèle de langage|assistante? (?:ia|virtuel)|chatbot)"
)
_FRENCH = (
    rf"{_FR_SORRY}(?:{_FR_CANNOT}) ?{_FR_SERVE}",
    rf"(?:{_FR_CANNOT}) ?(?:vous |t'|te )?(?:aider\b|assister|satisfaire|(?:répondre à|fournir) (?:cette|ces|ce|votre|ta|de telles)\b)",
    r"je dois (?:\w+ )?(?:refuser|décliner)\b",
    rf"{_maybe(_FR_SORRY)}en tant (?:qu'|que ){_FR_MACHINE}\b.*\b(?:ne|n'|pas|aucune?)",
    rf"{_maybe(_FR_SORRY)}je (?:ne )?suis (?:qu'|seulement |juste )?{_FR_MACHINE}\b.*\b(?:ne\b|n'|pas\b)",
    rf"je suis {_FR_MACHINE}(?:,? (?:développée?|créée?|entraînée?|conçue?) [^.]*)?[.!]?(?: comment puis-je [^?]*\?)?$",
)

_ES_SORRY = (
    _any(
        "lo siento(?: mucho)?", "lo lamento", r"(?:mis |le pido |te pido )?disculpas?", "disculpe", "perdón", "lamentablemente",
        "desafortunadamente", "desgraciadamente", "por desgracia", "me temo", "no",
    )
    + r"(?:\W+(?:pero|que|lamentablemente))*\W*"
)  # fmt: skip
_ES_CANNOT = (
    r"(?:me es imposible|no (?:puedo|podré|me es posible|soy capaz de|tengo (?:la capacidad de|permitido|permiso para)|estoy (?:en "
    r"condiciones de|"
    r"autorizad[oa] (?:a|para)|programad[oa] para)))"
)
_ES_SERVE = _any(
    "ayudar", "asistir", "responder", "contestar", "cumplir", "proporcionar", "ofrecer", "dar", "generar", "crear", "escribir", "redactar",
    "discutir", "hablar de", "compartir", "facilitar", "realizar", "hacer es[oa]", "hacer esto", "atender", "acceder", "brindar",
    "clasificar", "determinar", "identificar", "procesar", "comentar", "opinar", "revelar",
)  # fmt: skip
_ES_MACHINE = (
    r"(?:una? )?(?:simple )?(?:ia|i\.a\.|inteligencia artificial|(?:gran )?modelo de lenguaje|asistente (?:de ia|virtual)|chatbot)"
)
_SPANISH = (
    rf"{_ES_SORRY}{_ES_CANNOT} (?:\w+ )?{_ES_SERVE}",
    rf"{_ES_CANNOT} (?:ayudar(?:te|le|les|los|lo|la)?\b|asistir(?:te|le)|(?:cumplir con|responder(?: a)?) (?:esa|esta|tu|su)\b)",
    r"(?:debo|tengo que) (?:rechazar|declinar|negarme)\b",
    rf"{_maybe(_ES_SORRY)}(?:como|al ser|siendo) {_ES_MACHINE}\b.*\b(?:no|sin|carezco)\b",
    rf"{_maybe(_ES_SORRY)}(?:solo |sólo )?soy (?:solo |sólo )?{_ES_MACHINE}\b.*\b(?:no|sin|carezco)\b",
    rf"soy {_ES_MACHINE}(?:,? (?:desarrollad|cread|entrenad|diseñad)[oa] [^.]*)?[.!]?(?: ¿[^?]*\?)?$",
)

REFUSALS = tuple(
    f"^{pattern}" for pattern in (*(_HELLO + _any(pattern) for pattern in _ENGLISH), _any(*_GERMAN), _any(*_FRENCH), _any(*_SPANISH))
)
"""Each matches the first characters of an answer that declines, or a whole one that only says what an assistant says of itself."""


def declining(texts: pl.Series) -> pl.Series:
    """Whether each text begins as a refusal does. Only the first 300 characters are read."""
    plain = texts.str.slice(0, _READ).str.to_lowercase().str.replace_all("[’‘`´]", "'").str.replace_all(r"\s+", " ")
    read = plain.str.strip_chars_start(_BEFORE).str.strip_chars_end(_AFTER).alias("read")
    return read.to_frame().select(pl.any_horizontal(pl.col("read").str.contains(pattern) for pattern in REFUSALS)).to_series()
