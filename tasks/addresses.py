"""Addresses in texts: of mailboxes, and of hosts by the Internet Protocol."""

import ipaddress
import re
from collections.abc import Iterator

from tasks.identifiers import before

_LONGEST_LOCAL = 64
_LOCAL = re.compile(rf"(?<!\w)\w(?:[\w.%+'-]{{0,{_LONGEST_LOCAL - 2}}}[\w+-])?\Z")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+(?P<top>xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})", re.IGNORECASE)
"""RFC 5321's mailbox as people write it, in any script; no quoted local part."""
_FILE_ENDINGS = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "bmp", "css", "js", "jsx", "tsx", "html", "json", "txt"})
"""`logo@2x.png` is no address."""

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_QUAD, _COLONS = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"), re.compile(":[0-9A-Fa-f]{0,4}:")
_IPV4 = re.compile(rf"(?<![\w.])(?<![A-Za-z][-/])(?:{_OCTET}\.){{3}}{_OCTET}(?!\w|-[A-Za-z]|\.\w)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?<=:)[0-9]{1,3}(?:\.[0-9]{1,3}){3})?(?![\w:]|\.\w)")
_IPV6_IN_USE = tuple(ipaddress.IPv6Network(net) for net in ("2000::/3", "fc00::/7", "fe80::/10", "::ffff:0:0/96", "64:ff9b::/96"))
"""What IANA has given out to hosts; `dead::beef` is more often a name in a program."""
_VERSION_WORD = re.compile(
    r"(?:(?<![^\W_])(?:v|ver|version|release|build|firmware|driver|update|upgrade|patch|section|chapter|clause|paragraph|figure|table|step"
    r"|kapitel|abschnitt|abs|artikel|article|schema|python|java|node|chrome|firefox)s?|§)(?:\W{0,3}(?:to|from|is|no|number))?\W{0,3}$",
    re.IGNORECASE,
)
_ADDRESS_WORD = re.compile(
    r"(?<![^\W_])(?:ip|ipv4|address|host|server|dns|ping|gateway|router|proxy|adresse|dirección)(?![^\W_])", re.IGNORECASE
)


def find_emails(text: str) -> Iterator[tuple[int, int]]:
    """Addresses of mailboxes, but not of a file, of a repository, or of a host behind a user and a password."""
    start = 0
    while (at := text.find("@", start)) >= 0:
        # What comes before an at-sign is looked at from there: an expression alone would be tried at every character.
        local, domain = _LOCAL.search(text, max(start, at - _LONGEST_LOCAL), at), _DOMAIN.match(text, at + 1)
        start = at + 1
        if local and domain:
            start = domain.end()
            if _is_mailbox(local.group(), domain, before(text, local.start()), text[domain.end() : domain.end() + 2]):
                yield local.start(), domain.end()


def _is_mailbox(local: str, domain: re.Match[str], preceding: str, following: str) -> bool:
    remote = local == "git" and re.match(r":[\w~./-]", following)
    versioned = re.match(r"[0-9]+\.[0-9]", domain.group())
    password = re.search(r"://[^\s/@]*:$", preceding)
    return ".." not in local and domain["top"].lower() not in _FILE_ENDINGS and not (remote or versioned or password)


def find_ips(text: str) -> Iterator[tuple[int, int]]:
    """Addresses of hosts, of version 4 and 6."""
    # Borders are looked for only from where the first one can stand.
    if quad := _QUAD.search(text):
        for match in _IPV4.finditer(text, max(0, quad.start() - 2)):
            if _is_host(match.group(), before(text, match.start()), text[match.end() : match.end() + 1]):
                yield match.span()
    if colons := _COLONS.search(text):
        for match in _IPV6.finditer(text, max(0, colons.start() - 4)):
            if _is_ipv6_host(match.group()):
                yield match.span()


def _is_host(quad: str, preceding: str, following: str) -> bool:
    """Not this host, not a mask, and not the number of a version or a section: small ones count where an address is spoken of."""
    octets = [int(octet) for octet in quad.split(".")]
    if octets[0] in (0, 255) or quad == "127.0.0.1" or _VERSION_WORD.search(preceding):
        return False
    spoken = following in (":", "/") or preceding.endswith("//") or _ADDRESS_WORD.search(preceding) is not None
    return octets[0] > 9 or max(octets) > 99 or spoken


def _is_ipv6_host(text: str) -> bool:
    """An address by RFC 4291 in a range that is in use; eight groups of two digits are a hardware address."""
    try:
        address = ipaddress.IPv6Address(text)
    except ipaddress.AddressValueError:
        return False
    hardware = len(text) == 23 and all(len(group) == 2 for group in text.split(":"))
    return not hardware and any(address in network for network in _IPV6_IN_USE)


def is_email(text: str) -> bool:
    """Whether a text is an address of a mailbox and nothing else."""
    local, at, domain = text.rpartition("@")
    return bool(at) and _LOCAL.fullmatch(local) is not None and _DOMAIN.fullmatch(domain) is not None
