"""A million frames, most streams broken somewhere, through both sides of the milter protocol.

C{python -m tests.fuzz_milter [FRAMES] [SEED]}: legal streams are mutated at random, the same way for the same seed.
Only L{ProtocolViolation} may escape; every command that owes an answer gets exactly one, and no answer can be
given that is not owed.  Exit status 1 when anything else happened, with what repeats it.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.wire.milter_sessions import FRAMES, macros, offer
from tests.wire.vectors import MALFORMED, VECTORS
from twistedmilter.errors import LocalProtocolError, ProtocolViolation
from twistedmilter.model.modification import AddHeader, ReplaceBody
from twistedmilter.wire import letters
from twistedmilter.wire.flags import NOT_ANSWERED, Action, ProtocolFlag
from twistedmilter.wire.frames import encode_frame
from twistedmilter.wire.milter_client import MilterClient
from twistedmilter.wire.negotiation import Wants
from twistedmilter.wire.replies import ACCEPT, CONTINUE, DISCARD, REJECT, SKIP, TEMPFAIL, ReplyCode
from twistedmilter.wire.session import MilterSession

SESSIONS = (
    "OCHMRRTLLLLNBBEAMRTLNEAAQ",
    "OCHMRTLLLLLLLLLLLLNBEMRTLLNBBBEQ",
    "OCHUMRAMRAHMRHAAMRTLLNBEKCHMRTLNBEQ",
    "OCMRLNBEMRLNBEMRRRRTLNBEMMMQ",
)
COMMANDS = [VECTORS[name] for name in VECTORS if name < "V40"] + list(MALFORMED.values())
REPLY_FRAMES = [VECTORS[name] for name in VECTORS if name >= "V44"]
ANSWERS = (
    *[CONTINUE] * 12,
    ACCEPT,
    REJECT,
    TEMPFAIL,
    DISCARD,
    SKIP,
    ReplyCode(451, "4.7.1", ("later", "100%")),
)
OFFERS = (
    FRAMES["O"],
    FRAMES["O"],
    offer(2, 0x3F, 0x7F),
    offer(4, 0x3F, 0x3FF),
    offer(6, 0xFFFFFFFF, 0xFFFFFFFF),
    offer(6, 0x1FF, 0x1FFC80),  # nothing can be switched off, everything can go unanswered
)
VERDICTS = frozenset(b"cartdsy")


class Failure(Exception):  # noqa: N818 - what the program looks for
    """A promise that did not hold."""


def flip(random: Random, frame: bytes) -> bytes:
    """One octet changed, the length word more often than its share."""
    at = random.randrange(4) if random.random() < 0.2 else random.randrange(len(frame))
    return frame[:at] + bytes([random.randrange(256)]) + frame[at + 1 :]


def resize(random: Random, frame: bytes) -> bytes:
    """The payload cut or repeated, the length word right."""
    payload = frame[5:]
    payload = payload[: random.randrange(len(payload) + 1)] if random.random() < 0.7 else payload * random.randrange(4)
    return encode_frame(frame[4], payload)


def relabel(random: Random, frame: bytes) -> bytes:
    """Another command byte."""
    return frame[:4] + bytes([random.choice(b"ODCHMRTULNBEAQKcyZ\0\xff")]) + frame[5:]


def noise(random: Random, _frame: bytes) -> bytes:
    """Octets that are no frame, or a frame of them."""
    octets = random.randbytes(random.randrange(1, 24))
    return octets if random.random() < 0.2 else encode_frame(octets[0], octets[1:])


def another(random: Random, _frame: bytes) -> bytes:
    """A frame that belongs elsewhere."""
    return random.choice(COMMANDS)


MUTATIONS: tuple[Callable[[Random, bytes], bytes], ...] = (flip, flip, resize, relabel, noise, another)


def mutated(random: Random, frames: list[bytes]) -> list[bytes]:
    """The frames, some of them changed, doubled, dropped or swapped; the first of a stream seldom."""
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        at = random.randrange(len(frames)) if random.random() < 0.1 else random.randrange(len(frames) // 2, len(frames))
        kind = random.random()
        if kind < 0.6:
            change = random.choice(MUTATIONS) if len(frames[at]) > 4 else noise  # it may be noise already
            frames[at] = change(random, frames[at])
        elif kind < 0.75:
            frames.insert(at, frames[at])
        elif kind < 0.85:
            frames.insert(at, macros(random.choice("CHMRTLNBEUZ"), b"i", random.randbytes(4).replace(b"\0", b"x")))
        elif len(frames) > 2:
            frames.insert(random.randrange(len(frames)), frames.pop(at))
    return frames


class FilterRun:
    """One stream through the filter's side.

    @ivar verdicts: how many answers went out. @ivar answered: how many of them we gave.
    """

    def __init__(self, random: Random, counts: Counter[str]) -> None:
        letter_set = [frozenset(letter for letter in letters.ANSWERABLE if random.random() < 0.8) for _ in range(2)]
        wants = Wants(letter_set[0], letter_set[1], Action(random.randrange(256)), skip=random.random() < 0.5)
        self.random = random
        # a filter that refuses makes the rest of most streams illegal
        self.answers = ANSWERS if random.random() < 0.4 else (CONTINUE, SKIP)
        self.counts = counts
        self.session = MilterSession(wants)
        self.fed = self.verdicts = self.answered = 0

    def run(self, frames: list[bytes]) -> None:
        """Feed all frames, or as many as the session takes."""
        whole = b"".join(frames)
        for number, frame in enumerate(frames):
            self.counts["frames"] += 1
            try:
                self.feed(frame)
            except ProtocolViolation as violation:
                self.counts["violations"] += 1
                self.check_violation(violation)
                return
            finally:
                self.collect()
            if self.session.buffered > self.fed:
                raise Failure("the session holds more than it was given")
            if self.counts["frames"] % 64 == 0 and number:
                self.counts["looks"] += self.session.macro("i") is not None
        self.counts["whole streams"] += 1
        if not self.session.buffered:
            self.check_account(whole)

    def feed(self, frame: bytes) -> None:
        """One frame, sometimes in two pieces; every event is handled."""
        at = self.random.randrange(len(frame)) if self.random.random() < 0.2 else 0
        for piece in (frame[:at], frame[at:]):
            self.fed += len(piece)
            self.session.receive_data(piece)
            while (event := self.session.next_event()) is not None:
                self.counts["events"] += 1
                self.handle(event.letter)

    def handle(self, letter: int) -> None:
        """Answer what is owed; what is not owed cannot be answered."""
        session = self.session
        if not session.owes:
            self.must_refuse(lambda: session.answer(CONTINUE))
            return
        if letter == letters.END_OF_MESSAGE:
            session.modify([AddHeader("X-Fuzz", "yes"), ReplaceBody(b"new")])
        self.must_refuse(session.next_event)
        session.answer(self.random.choice(self.answers))
        self.answered += 1

    def must_refuse(self, action: Callable[[], object]) -> None:
        """The action is our own error, and is told so."""
        if self.random.random() < 0.1:
            try:
                action()
            except LocalProtocolError:
                return
            raise Failure("an illegal call was not refused")

    def collect(self) -> None:
        """Count the verdicts that go out."""
        sent = self.session.data_to_send()
        while sent:
            self.verdicts += sent[4] in VERDICTS
            sent = sent[4 + int.from_bytes(sent[:4], "big") :]

    def check_violation(self, violation: ProtocolViolation) -> None:
        """It is short, it lasts, and nothing is held."""
        if len(violation.offending) > 64 or self.session.buffered:
            raise Failure("a violation keeps octets")
        try:
            self.session.next_event()
        except ProtocolViolation:
            return
        raise Failure("a violation does not last")

    def check_account(self, stream: bytes) -> None:
        """After a stream that was taken whole: one answer for each command whose answer the MTA reads."""
        protocol = self.session.granted.protocol if self.session.granted is not None else ProtocolFlag(0)
        owed = 0
        while stream:
            size, letter = int.from_bytes(stream[:4], "big"), stream[4]
            if letter == letters.QUIT:
                break
            owed += letter in letters.ANSWERABLE and not protocol & NOT_ANSWERED.get(letter, ProtocolFlag(0))
            stream = stream[4 + size :]
        self.counts["accounts checked"] += 1
        if owed != self.verdicts or self.answered > owed:
            raise Failure(f"{owed} answers owed, {self.verdicts} sent, {self.answered} given")


def run_filter(random: Random, counts: Counter[str]) -> None:
    """One mutated session of an MTA."""
    frames = []
    for code in random.choice(SESSIONS):
        if random.random() < 0.15:
            frames.append(macros(code, b"i", b"Q1", b"{mail_addr}", b"") if code not in "OAQK" else VECTORS["V05"])
        frames.append(random.choice(OFFERS) if code == "O" else FRAMES[code])
    FilterRun(random, counts).run(mutated(random, frames))


def run_client(random: Random, counts: Counter[str]) -> None:
    """Mutated answers of a filter, to the MTA's side."""
    client = MilterClient(strict=random.random() < 0.5)
    client.negotiate()
    answers = [random.choice((VECTORS["V40"], VECTORS["V41"], VECTORS["V43"]))]
    answers += [random.choice(REPLY_FRAMES) for _ in range(random.randrange(2, 20))]
    sent = 1
    try:
        for frame in mutated(random, answers):
            counts["frames"] += 1
            client.receive_data(frame)
            while (reply := client.next_reply()) is not None:
                counts["replies"] += 1
                sent -= reply.is_verdict
            if client.agreement is not None and not client.replies_owed:
                sent = 1 if client.end_of_message() else 0
            if client.replies_owed < 0 or sent < 0:
                raise Failure("more answers than commands")
    except ProtocolViolation as violation:
        counts["violations"] += 1
        if len(violation.offending) > 64:
            raise Failure("a violation keeps octets") from violation


def main(arguments: list[str]) -> int:
    """Run, and say what was done."""
    frames = int(arguments[0]) if arguments else 1_000_000
    seed = int(arguments[1]) if len(arguments) > 1 else 20_261_124
    counts: Counter[str] = Counter()
    started = time.monotonic()
    stream = 0
    while counts["frames"] < frames:
        stream += 1
        # a string, so that each stream can be repeated alone
        random = Random(f"{seed}/{stream}")
        try:
            (run_client if stream % 4 == 0 else run_filter)(random, counts)
        except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
            sys.stdout.write(f"FAILED in stream {stream} of seed {seed}:\n{traceback.format_exc()}")
            return 1
    elapsed = time.monotonic() - started
    facts = ", ".join(f"{count} {what}" for what, count in counts.items() if what != "looks")
    sys.stdout.write(f"fuzz_milter: seed {seed}, {stream} streams, {facts}, none failed, {elapsed:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
