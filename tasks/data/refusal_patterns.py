"""How answers begin that decline, in English, German, French and Spanish: expressions for polars over small letters.

Each language has the same parts: an apology, who cannot (or will not), what an assistant is asked to do, and a machine that speaks of
itself. Verbs that people use of their own troubles ("I can't access this folder") count after an apology only.
"""


def _any(*choices: str) -> str:
    return f"(?:{'|'.join(choices)})"


def _maybe(*choices: str) -> str:
    return f"{_any(*choices)}?"


_HELLO = _maybe(r"(?:hello|hi|hey|thanks|thank you)\b[^.!?,]*[.!?,] ?(?:but )?")
_ALTHOUGH = _maybe(
    r"(?:while|although|even though|as much as|i (?:\w+ )?(?:understand|appreciate|see|know|get)|for|due to|because of|given)\b[^.]*[,.;] ?"
)
_SORRY = (
    _maybe(r"(?:no|oh|well)[,.]? ")
    + _any(
        r"(?:i'm|i am|we're|we are) (?:\w+ )?(?:sorry|afraid)", "sorry", "unfortunately", "regrettably", "forgive me", "apologies",
        r"(?:please accept )?(?:my|our) (?:\w+ )?apolog(?:y|ies)", r"(?:i|we) (?:\w+ )?(?:\w+ )?(?:apologi[sz]e|regret)",
    )
    + _maybe(r" to (?:say|inform you|tell you)", r" for (?:the|any) \w+")
    + r"(?:\W+(?:but|that|however|unfortunately))*\W+"
)  # fmt: skip
_CANNOT = (
    _any(
        "can't", "cannot", "can not", "couldn't", "could not", "won't", "will not", "won't be able to", "will not be able to",
        r"(?:am|are|'m|'re)(?: \w+ly)? (?:unable|prohibited|forbidden) (?:to|from)", r"(?:am|'m) (?:not |un)comfortable",
        r"(?:am|are|'m|'re|was)(?: \w+ly)? not (?:\w+ly )?(?:able|allowed|permitted|authori[sz]ed|programmed|designed|trained|going|"
        r"willing|equipped|prepared|in a position|at liberty|here) to",
        r"(?:must|have to|need to)(?: \w+ly)? (?:decline to|refuse to|refrain from|avoid)", r"(?:\w+ly )?(?:decline|refuse) to",
        r"have no (?:way|means|ability|permission) (?:to|of)", r"(?:would|'d) (?:rather|prefer) not(?: to)?",
        r"(?:do not|don't) have (?:the (?:\w+ )?)?(?:ability|capability|capacity|means|permission|authority) to",
        r"(?:do not|don't) (?:feel comfortable|want to|think i can|think i should|believe i can|believe i should)",
    )
    + r"(?: \w+ly)?(?: in good (?:conscience|faith))?"
)  # fmt: skip
_THIS = r" (?:\w+ )?(?:(?:with|on|about|to|for) )?(?:that|this|these|those|such|any|your|what you|so|it|the (?:request|question|task)\w*)\b"
_SERVE = _any(
    r"(?:help|assist|helping|assisting)(?:\W*$|[.,;!]| (?:\w+ )?(?:with|in|on|by|here|out|there)\b| you\b)", r"comply(?:ing)?\b",
    r"fulfil", r"be of (?:\w+ )?(?:help|assistance|service)", r"(?:engag|participat)(?:e|ing) in\b", r"do (?:that|so)\W*(?:$|[.,;!])",
    r"(?:answer|discuss|provide|generate|offer|disclose|reveal|advise|comment|respond|accommodate|honou?r)(?:ing)?" + _THIS,
    r"(?:answer|discuss|provid|generat|shar|advis|comment)(?:ing)" + _THIS,
    r"(?:provid|giv|offer|shar)(?:e|ing) (?:\w+ ){0,2}(?:advice|instructions?|information|guidance|assistance|opinions?|content|help|"
    r"diagnos[ie]s)\b",
)  # fmt: skip
_MAKE = _any(
    r"(?:provid|generat|creat|writ|produc|offer|shar|disclos|reveal|discuss|endors|promot|recommend|advis|suggest|diagnos|predict|"
    r"translat|summari[sz]|classif|pretend)(?:e|y|ing|ying)?\b",
    r"give (?:you|out|advice|instructions|information|details|medical|legal|financial|personal)\b", r"(?:talk|speak) about\b",
    r"(?:do|access|process|complete|continue|perform|handle|support|carry out|proceed|address)" + _THIS,
    r"(?:access|browse|open|view) (?:the (?:internet|web)|links?|files?|images?|websites?)",
)  # fmt: skip
_MACHINE = r"an? (?:\w+ )?(?:ai|a\.i\.|artificial intelligence|language model|llm|chatbot|(?:virtual|digital) assistant)" + (
    r"(?:[ -](?:powered|based|language|text|chat|model|assistant|chatbot|bot|system|program|tool))*"
)
_MADE = r"(?:trained|developed|created|made|built|designed)"
_NOT = r"\b(?:not|cannot|unable|no|never|lack|only|beyond|without|sorry|\w+n't)\b"
_RULES = r"(?:my|our|openai's) (?:\w+ )?(?:guidelines|programming|policy|policies|rules|principles|terms)"
_ENGLISH = (
    rf"{_ALTHOUGH}{_SORRY}(?:[^.!?]*\b)?i ?{_CANNOT} {_any(_SERVE, _MAKE)}",
    rf"{_ALTHOUGH}(?:no[,.] )?(?:but |however,? )?i ?{_CANNOT} {_SERVE}",
    rf"{_SORRY}(?:(?:unable|not able) to|can't|cannot) {_SERVE}",
    rf"{_SORRY}we ?{_CANNOT} (?:help|assist|comply|fulfil|answer|discuss)(?:\W*$|{_THIS})",
    rf"{_SORRY}i (?:do not|don't) (?:\w+ )?have (?:\w+ )?access to\b",
    r"i (?:do not|don't) (?:\w+ )?have (?:\w+ )?access to (?:the (?:internet|web)|real-time|current|live|external|up-to-date)",
    rf"{_maybe(_SORRY)}i (?:do not|don't) (?:\w+ )?have (?:any )?(?:personal|real-time|up-to-date) (?:\w+ )?(?:opinion|belief|feeling|"
    r"emotion|experience|preference|information|data|access)",
    rf"{_maybe(_SORRY)}i (?:must|have to|need to|will have to)(?: \w+ly)? (?:decline|refuse|pass)\b",
    rf"{_maybe(_SORRY)}(?:as|being) {_MACHINE}(?:[,.;:]| (?:{_MADE}|and|so|i|my)\b).*\b(?:i|my)\b.*{_NOT}",
    rf"{_maybe(_SORRY)}i(?:'m| am) (?:just |only |merely |simply )?{_MACHINE}(?:[,.;]| (?:and|so|without|that|{_MADE})\b).*{_NOT}",
    rf"{_maybe(_SORRY)}(?:that|this|it)(?:'s| is)(?: not|n't)? (?:something|a (?:\w+ )?(?:request|topic|question|task|subject)) (?:that )?"
    r"i(?:'m| am)? ?(?:can|cannot|can't|not able|unable|won't|will not|not allowed)\b",
    rf"{_maybe(_SORRY)}(?:this|that|it|your)\b[^.]* (?:against|violates?|breach(?:es)?|outside|beyond|prohibited by)(?: of)? "
    rf"(?:{_RULES}|what i\b|my (?:\w+ )?(?:scope|capabilit|abilit|expertise|knowledge))",
    rf"{_maybe(_SORRY)}{_RULES} (?:do not|don't|does not|doesn't|prevent|prohibit|forbid|keep)",
    rf"{_maybe(_SORRY)}(?:that|this|it) (?:is|would be) (?:not possible|impossible|inappropriate|unethical|wrong) for me to",
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
)  # fmt: skip
_DE_I_CAN = r"(?:ich (?:kann|darf|möchte|werde)|(?:(?:das|dabei|damit|hierbei|diese\w* \w+) )?(?:kann|darf|möchte|werde) ich)\b"
_DE_MACHINE = r"(?:eine? )?(?:\w+ )?(?:ki|k\.i\.|künstliche intelligenz|sprachmodell|chatbot|(?:virtueller|digitaler) assistent)(?:-\w+)*"
_GERMAN = (
    rf"{_DE_SORRY}{_DE_I_CAN}[^.!]*\b(?:nicht|kein\w*|nichts)\b[^.!]*{_DE_SERVE}",
    rf"{_DE_I_CAN}[^.!]*\b(?:nicht|kein\w*)\b (?:\w+ ){{0,3}}{_DE_SERVE}",
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
    r"|je n'ai pas(?: la capacité| la possibilité| le droit)?(?: de)?"
)
_FR_SERVE = r"(?:vous |t'|te |l'|les |y |en )?" + _any(
    r"aider\b", "assister", "répondre", "fournir", "donner", "générer", "créer", "écrire", "rédiger", "produire", "discuter", "satisfaire",
    "accéder", "partager", "conseiller", "accès", "d'opinion", "d'avis", "faire (?:cela|ça)",
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
    r"no (?:puedo|podré|me es posible|soy capaz de|tengo (?:la capacidad de|permitido|permiso para)|estoy (?:en condiciones de|"
    r"autorizad[oa] (?:a|para)|programad[oa] para))"
)
_ES_SERVE = _any(
    "ayudar", "asistir", "responder", "contestar", "cumplir", "proporcionar", "ofrecer", "dar", "generar", "crear", "escribir", "redactar",
    "discutir", "hablar de", "compartir", "facilitar", "realizar", "hacer es[oa]", "hacer esto", "atender", "acceder", "brindar",
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
