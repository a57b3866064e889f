"""The real client behind relays that we believe, read from Received fields (seed-spec B04 and beyond).

Only what a believed host wrote is read: the field at the top was written by the relay that is connected, the one
below it by the client which that field names, and so on.  The walk ends at the first client that is not ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from msgspec import Struct

from twistedmilter.model.transaction import IPAddress, RealClient
from twistedmilter.policy.networks import NetworkSet, plain

MAX_FIELDS = 50  # Received fields that are read; a longer way is a loop
MAX_LENGTH = 2048  # characters of one field that are read

# addresses that are within a relay's own network, since nobody can send from them over the Internet
PRIVATE = (
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
    *("::1", "fe80::/10", "fc00::/7"),
)

_FROM = re.compile(r"\s*from\s+([^\s()]+)\s*", re.IGNORECASE)
_BY = re.compile(r"by\b", re.IGNORECASE)
_BRACKETED = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f:.]+)(?:%[\w.]+)?\]", re.IGNORECASE)
_BARE = re.compile(r"\(\s*(?:IPv6:)?([0-9A-Fa-f:.]+)(?::\d+)?\s*\)", re.IGNORECASE)
_HELO = re.compile(r"\bhelo[= ]\s*([^\s()]+)", re.IGNORECASE)  # Exim: helo=name, qmail: HELO name
# comments that hold what the client said: Exim's and qmail's HELO, Postfix's certificate
_CLIENTS_WORD = re.compile(r"\(\s*(?:helo[= ]|port=|Client CN)", re.IGNORECASE)


class Hop(Struct, frozen=True):
    """What one Received field says of the client.

    @ivar name: its PTR name as far as the writer tells, or empty. @ivar helo: what it said at HELO, or empty.
    """

    ip: IPAddress
    name: str
    helo: str


def parse_received(value: str) -> Hop | None:
    """The client in a Received field; None if there is none, or it is written in no form that we know.

    Known are those of Postfix and sendmail (C{from HELO (NAME [IP])}), Exim (C{from NAME ([IP] helo=HELO)},
    C{from [IP] (helo=HELO)}), Exchange (C{from HELO (IP)}) and qmail (C{from NAME (HELO helo) (IP)}).  What
    the client said itself, at HELO or in its certificate, is never taken for its address.
    """
    text = " ".join(value[:MAX_LENGTH].split())
    opening = _FROM.match(text)
    if opening is None:
        return None
    word = opening[1]
    comments = _comments_before_by(text, opening.end())
    told = [(ip, comment) for comment in comments if (ip := _address_in(comment)) is not None]
    if len({ip for ip, _ in told}) > 1:
        return None  # one of them may be what the client said, e.g. the CN of its certificate
    if told:
        return _hop(*told[0], word, comments)
    if comments and _CLIENTS_WORD.match(comments[0]):  # Exim, when the client has no name
        ip = _address(_BRACKETED.fullmatch(word))
        if ip is not None:
            said = _HELO.search(comments[0])
            return Hop(ip, "", said[1] if said else "")
    return None


def _address_in(comment: str) -> IPAddress | None:
    """The address that the writer of the field put into this comment."""
    if _CLIENTS_WORD.match(comment):
        return None
    return _address(_BRACKETED.search(comment) or _BARE.fullmatch(comment))


def _hop(ip: IPAddress, comment: str, word: str, comments: Sequence[str]) -> Hop:
    said = _HELO.search(comment) or _HELO.search(comments[0])
    if said is not None:
        return Hop(ip, word.lower(), said[1])
    before = comment[1:].split("[", 1)[0].split()
    name = before[-1].rpartition("@")[2].rstrip(".").lower() if before and "[" in comment else ""
    return Hop(ip, name, word)


def _comments_before_by(text: str, start: int) -> list[str]:
    """The comments of the from clause, with their parentheses; nested ones stay within theirs."""
    comments: list[str] = []
    position = start
    while position < len(text):
        if text[position] == "(":
            end = _end_of_comment(text, position)
            comments.append(text[position:end])
            position = end
        elif _BY.match(text, position) and text[position - 1] in " )":
            break
        else:
            position += 1
    return comments


def _end_of_comment(text: str, start: int) -> int:
    depth = 0
    position = start
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return len(text)


def _address(match: re.Match[str] | None) -> IPAddress | None:
    if match is None:
        return None
    try:
        return plain(ip_address(match[1]))
    except ValueError:
        return None


def find_real_client(received: Sequence[str], is_ours: Callable[[IPAddress], bool]) -> RealClient | None:
    """The first client from the top that is not ours; None if a field on the way does not tell its client.

    @param received: the values of the Received fields, the topmost first, as the connected relay gave them.
    @param is_ours: whether an address is one of our networks or relays; private addresses are passed as well.
    """
    for index, value in enumerate(received[:MAX_FIELDS]):
        hop = parse_received(value)
        if hop is None:
            return None
        if not is_ours(hop.ip):
            return RealClient(hop.ip, hop.name, hop.helo, index)
    return None


def believed_networks(*sets: NetworkSet) -> Callable[[IPAddress], bool]:
    """Whether an address is in one of these sets or private; for L{find_real_client}."""
    private = NetworkSet.parse(PRIVATE)
    return lambda ip: private.contains(ip) or any(networks.contains(ip) for networks in sets)
