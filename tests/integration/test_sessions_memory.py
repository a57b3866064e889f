"""C{tests/sessions} in memory: the milter face, the policy and the resolver's answers, without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from dns.rdatatype import RdataType
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeResolver
from tests.integration.corpus import SESSIONS, one_test_a_session, whole_zone
from tests.integration.daemon import session_config, to_toml
from tests.integration.exchanger import ExchangerClock
from tests.integration.memory_link import MilterLink
from tests.integration.memory_mta import Mailbags, MemoryDialogue
from tests.integration.player import Player
from tests.integration.session_file import Session, read_sessions
from tests.integration.smtp_dialogue import Reply
from tests.integration.smtp_sink import Delivered
from twistedmilter.composition import build_policy
from twistedmilter.configfile import load_settings
from twistedmilter.interfaces.dns import Answer
from twistedmilter.interfaces.stores import IStores
from twistedmilter.milter_proto import MilterFactory
from twistedmilter.milter_sessions import MilterSessions
from twistedmilter.model.stage import Role
from twistedmilter.observe.json_log import JsonLog
from twistedmilter.outbound import Outbound
from twistedmilter.policy.wants import wants_of
from twistedmilter.resolver import Resolver
from twistedmilter.store.memory import MemoryStores

LATE = 0.2  # seconds
NOW = 1_795_527_000.0  # the wall clock when a session begins. [seconds since the epoch]


class LateResolver(FakeResolver):
    """Answers as its zone says, but never at once: what must wait for an answer is seen not to run ahead of it."""

    def __init__(self, zone_text: str, clock: MemoryReactorClock) -> None:
        """Answer when the clock has gone on for L{LATE}."""
        super().__init__(zone_text)
        self._clock: Any = clock

    async def lookup(self, name: str, rdtype: RdataType) -> Answer:
        """The answer of the zone, later."""
        await deferLater(self._clock, LATE)
        return await super().lookup(name, rdtype)


class MemoryMailServer:
    """The model MTA with our milter behind it (L{tests.integration.player.MailServer})."""

    runner = "memory"

    def __init__(self, config: Path, zone: str, *, late: bool) -> None:
        """Build the service's inside from a configuration file; nothing listens.

        @param late: whether the answers of the DNS take a while.
        """
        self._clock = ExchangerClock()
        resolver = LateResolver(zone, self._clock) if late else FakeResolver(zone)
        self._lines: list[str] = []
        self._bags = Mailbags()
        self._link: MilterLink | None = None
        loaded = load_settings(str(config))
        log = JsonLog(self._lines.append, self._wall)
        stores = cast(IStores, MemoryStores())
        self._outbound = Outbound(
            loaded.settings,
            self._clock,
            resolver,
            stores,
            state_dir=config.parent,
            wall=self._wall,
            host_name="mx.test.invalid",
            chance=lambda: 0.5,
            random_octets=bytes,
        )
        policy = build_policy(
            loaded,
            self._clock,
            self._wall,
            [log],
            cast(Resolver, resolver),
            stores=stores,
            callbacks=self._outbound.callbacks,
            inner=self._outbound.inner,
            notices=self._outbound.notices,
        )
        self._grace = loaded.settings.milter.grace
        self._sessions = MilterSessions(policy, wants_of(policy.chain, loaded.settings.policy))
        self._sessions.start()

    def _wall(self) -> float:
        return NOW + self._clock.seconds()

    def connect(self, address: str, name: str, role: str) -> MemoryDialogue:
        """A client connects to the model, the model to the milter."""
        factory = MilterFactory(self._sessions, "memory", Role(role), role_reason="milter.listen[0]")
        self._link = MilterLink(factory, self._clock)
        return MemoryDialogue(self._link, address, name, self._bags)

    def submit(self, sender: str, recipient: str, content: bytes) -> Reply:
        """A program of this host submits, as through Postfix's non_smtpd_milters."""
        return self.connect("", "", "inbound").submit(sender, recipient, content)

    def next_message(self, timeout: float) -> Delivered | None:
        """The next message, which is there or never comes."""
        return self._bags.delivered.pop(0) if self._bags.delivered else None

    def holds(self) -> bool:
        """Whether a message came to be held."""
        held, self._bags.held = self._bags.held, 0
        return bool(held)

    def kill(self) -> None:
        """The model crashes."""
        assert self._link is not None
        self._link.lose()

    def shutdown(self) -> None:
        """The service stops, with grace."""
        self._sessions.stop(self._grace)

    def wait(self, seconds: int) -> None:
        """Both clocks go on."""
        self._clock.advance(seconds)

    def records(self, count: int) -> list[Mapping[str, object]]:
        """The records so far."""
        events = [json.loads(line) for line in self._lines]
        return [event for event in events if event["event"] == "message"]


@one_test_a_session("memory")
class MemorySessionTests(SynchronousTestCase):
    """What the session files promise holds for the model MTA."""

    zone = whole_zone(read_sessions(SESSIONS))
    late = False

    def play(self, session: Session) -> list[str]:
        """Play one session; its problems."""
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        config = directory / "twistedmilter.toml"
        config.write_text(
            "".join(f"{key} = {to_toml(value)}\n" for key, value in session_config(session.config).items())
        )
        for name, text in session.files:
            (config.parent / name).write_text(text)
        problems = Player(session, MemoryMailServer(config, self.zone, late=self.late)).play()
        if "bug" in session.config:
            self.flushLoggedErrors(ZeroDivisionError)
        return problems


class LateAnswerSessionTests(MemorySessionTests):
    """It holds as well when no answer of the DNS is there at once."""

    late = True
