"""A million queries, most of them broken: each gets a valid answer or silence, over UDP and over TCP.

::

    python -m tests.fuzz_dns [QUERIES] [SEED]

Every answer is read by dnspython: one question, that of the query; id and opcode as they came; nothing longer than
allowed; AA within the zone alone.  What both ways to an answer say is compared in L{tests.blocklist.test_shortcut}.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from random import Random

import dns.flags
import dns.message
import dns.rcode

from tests.blocklist.test_answers import zone
from tests.blocklist.test_shortcut import PIECES, TEXT
from tests.blocklist.test_signature_zone import NOW, SIGNED, TestVerifier
from tests.wire.test_dns_question import opt
from tests.wire.test_dns_response import APEX, authority
from twistedmilter.blocklist.answers import ServedList, ServedSignatures
from twistedmilter.blocklist.listing import Values
from twistedmilter.blocklist.loading import Source, load_at_once, load_zone
from twistedmilter.blocklist.rate import Rates, ResponseRateLimiter
from twistedmilter.blocklist.signature_zone import Limits, SignatureZone
from twistedmilter.blocklist.zone import ZoneKind
from twistedmilter.dns_responder import Access, Responder, ZoneEntry
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.wire.dns_cookies import ServerCookies

SES = (b"_ses", b"mouse", b"com")
ENDS = (*[b"\5rhsbl\7example\3net\0"] * 4, *[b"\4_ses\5mouse\3com\0"] * 2, b"\7example\3org\0", b"\0")
NAMES = (*PIECES, *SIGNED.encode().split(b"."), b"ses=guess=a", b"ses", b"prvs=0123abcdef=joe")
TYPES = (1, 1, 1, 16, 28, 15, 2, 6, 41, 250, 251, 252, 255, 65535)
OPTIONS = (b"\0\x0a\0\x08cookie12", b"\0\x0a\0\x18cookie12" + bytes(16), b"\0\x0a\0\x09cookie123", b"\0\x0c\0\x04abcd")
FLAGS = (*[b"\0\0", b"\1\0", b"\1\x20"] * 6, b"\x20\0", b"\x28\0", b"\x80\0")
HOSTS = (*["127.0.0.1"] * 9, "192.0.2.1", "2001:db8::1")


class Failure(Exception):  # noqa: N818 - what the program looks for
    """A promise that did not hold."""


def valid(random: Random) -> bytes:
    """A query as somebody might send it."""
    labels = [random.choice(NAMES) for _ in range(random.choice((0, 1, 1, 2, 2, 2, 3, 8)))]
    name = b"".join(bytes([len(label)]) + label for label in labels) + random.choice(ENDS)
    end = random.choice(TYPES).to_bytes(2, "big") + (b"\0\1" if random.random() < 0.9 else random.randbytes(2))
    options = b"".join(random.choice(OPTIONS) for _ in range(random.choice((0, 0, 1, 2))))
    rest = opt(options, payload=random.choice((0, 512, 1232, 65535))) if random.random() < 0.6 else b""
    flags = random.choice(FLAGS)
    name = bytes(octet ^ 0x20 if chr(octet).isalpha() and random.random() < 0.3 else octet for octet in name)
    return random.randbytes(2) + flags + b"\0\1\0\0\0\0\0" + bytes([bool(rest)]) + name + end + rest


def flip(random: Random, octets: bytes) -> bytes:
    """One octet changed, one of the header more often than its share."""
    at = random.randrange(2, 12) if random.random() < 0.2 else random.randrange(len(octets))
    return octets[:at] + bytes([random.randrange(256)]) + octets[at + 1 :]


def cut(random: Random, octets: bytes) -> bytes:
    """Without its end."""
    return octets[: random.randrange(len(octets))] or b"\0"


def grow(random: Random, octets: bytes) -> bytes:
    """With something behind it, or somewhere in it."""
    at = len(octets) if random.random() < 0.5 else random.randrange(len(octets))
    return octets[:at] + random.randbytes(random.choice((1, 2, 11, 500))) + octets[at:]


def point(random: Random, octets: bytes) -> bytes:
    """With a compression pointer where a length may be."""
    at = random.randrange(len(octets))
    return octets[:at] + bytes((0xC0 | random.randrange(4), random.randrange(64))) + octets[at + 2 :]


MUTATIONS: tuple[Callable[[Random, bytes], bytes], ...] = (flip, flip, flip, cut, grow, point)


def mutated(random: Random) -> bytes:
    """A valid query, or what became of it."""
    octets = valid(random)
    for _ in range(random.choice((0, 1, 1, 1, 2, 4))):
        octets = random.choice(MUTATIONS)(random, octets)
    return octets


def make_responder() -> Responder:
    """One that serves a mixed list, a public zone of signatures, and a list that is not loaded."""
    contents = load_at_once(load_zone(APEX, ZoneKind.MIXED, [Source("a.zone", TEXT.splitlines())], lambda: NOW)).zone
    signatures = SignatureZone("mouse.com", TestVerifier(), lambda _text: None, Limits(lookups=10**9))
    responder = Responder(
        ResponseRateLimiter(Rates()), ServerCookies(bytes(16)), seconds=time.monotonic, wall=lambda: NOW
    )
    ours = NetworkSet.parse(["127.0.0.1"])
    inner = zone({"a.example": Values()})
    responder.serve(
        [
            ZoneEntry(ServedList(authority(), contents), Access(ours)),
            ZoneEntry(ServedSignatures(authority(apex=SES), signatures), Access(ours, is_public=True)),
            ZoneEntry(ServedList(authority(apex=(b"wild", b"example", *APEX)), inner), Access(ours)),
            ZoneEntry(ServedList(authority(apex=(b"example", b"org")), None), Access(ours)),
        ]
    )
    return responder


def check(octets: bytes, answer: bytes | None, limit: int, counts: Counter[str]) -> None:
    """See that an answer is one, and one to that query."""
    if answer is None:
        counts["silence"] += 1
        return
    if len(octets) < 12 or octets[2] & 0x80:
        raise Failure("a response was answered")
    # dnspython reads messages of other opcodes by other rules
    message = dns.message.from_wire(answer[:2] + bytes([answer[2] & 0x87]) + answer[3:])
    counts[dns.rcode.to_text(message.rcode())] += 1
    if answer[:2] != octets[:2] or not message.flags & dns.flags.QR or (answer[2] ^ octets[2]) & 0x79:
        raise Failure("id, opcode or RD is not that of the query")
    if len(answer) > limit or message.flags & dns.flags.RA:
        raise Failure("it is too long, or promises recursion")
    if message.question:
        size = len(message.question[0].name.to_wire() or b"") + 4
        if octets[12 : 12 + size] != answer[12 : 12 + size]:
            raise Failure("the question is not echoed")
    elif message.sections[1] or message.sections[2]:
        raise Failure("there are records and no question")
    if message.sections[1] and not message.flags & dns.flags.AA:
        raise Failure("data without authority")


def run(random: Random, responder: Responder, counts: Counter[str]) -> None:
    """One query over both transports."""
    octets, host = mutated(random), random.choice(HOSTS)
    counts["queries"] += 1
    check(octets, responder.datagram(octets, host), 1232, counts)
    if random.random() < 0.1:
        check(octets, responder.message(octets, host), 65_535, counts)


def main(arguments: list[str]) -> int:
    """Run, and say what was done."""
    queries = int(arguments[0]) if arguments else 1_000_000
    seed = int(arguments[1]) if len(arguments) > 1 else 20_261_124
    counts: Counter[str] = Counter()
    responder = make_responder()
    started = time.monotonic()
    while counts["queries"] < queries:
        # a string, so that each query can be repeated alone
        random = Random(f"{seed}/{counts['queries']}")
        try:
            run(random, responder, counts)
        except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
            octets = mutated(Random(f"{seed}/{counts['queries'] - 1}"))
            sys.stdout.write(f"FAILED, seed {seed}: {octets.hex()}\n{traceback.format_exc()}")
            return 1
    facts = ", ".join(f"{count} {what}" for what, count in counts.items())
    sys.stdout.write(f"fuzz_dns: seed {seed}, {facts}, none failed, {time.monotonic() - started:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
