"""Tests of callback verification against a scripted SMTP server on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeResolver
from tests.integration.certificates import make_certificates
from twistedmilter.callback import CallbackVerifier, make_verifier, own_name_of
from twistedmilter.callback_judgement import judge
from twistedmilter.callback_limits import CallbackLimits
from twistedmilter.exchangers import Guard
from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult, ICallbackVerifier
from twistedmilter.model.address import parse_path
from twistedmilter.model.callback_settings import CallbackSettings
from twistedmilter.model.settings import ServerSettings, Settings
from twistedmilter.store.memory import MemoryStores
from twistedmilter.wire.smtp_client import SMTPStage
from twistedmilter.wire.smtp_replies import Reply

ZONE = """
    example.com       MX  10 mail.example.com
    mail.example.com  A   127.0.0.1
    null.example      MX  0 .
    two.example       MX  10 mail.example.com
    two.example       MX  20 also.example.com
    also.example.com  A   127.0.0.1
    broken.example    MX  SERVFAIL
"""
BOB = parse_path("<bob@example.com>")
GOOD = {"": "220 mail.example.com", "EHLO": "250 hello", "MAIL": "250 ok", "RCPT": "250 ok", "QUIT": "221 bye"}
CLOSE = "close"
SILENT = "silent"


class ScriptedServer(Protocol):
    """Answers each verb as the script says."""

    def connectionMade(self) -> None:
        """Give the banner."""
        self.factory.sessions += 1
        self.factory.open.append(self)
        self.answer("")

    def dataReceived(self, data: bytes) -> None:
        """Answer each line."""
        for line in data.decode("latin-1").splitlines():
            self.factory.heard.append(line)
            self.answer(line if line in self.factory.script else line[:4].upper().strip())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count those who are gone."""
        self.factory.lost += 1
        self.factory.open.remove(self)

    def answer(self, verb: str) -> None:
        """What the script has for it."""
        said = self.factory.script.get(verb, "502 what")
        assert self.transport is not None
        if said == CLOSE:
            self.transport.loseConnection()
        elif said != SILENT:
            self.transport.write(said.encode("latin-1") + b"\r\n")
        if verb == "STAR" and self.factory.tls is not None:
            self.factory.script["EHLO"] = "250 hello in private"
            self.transport.startTLS(self.factory.tls)  # type: ignore[attr-defined]


class VerifierTestCase(TestCase):
    """A verifier and a server that knows its lines."""

    timeout = 20  # seconds

    def serve(self, **script: str) -> Any:
        """A server whose script differs in these verbs; C{banner} is its banner."""
        if "banner" in script:
            script[""] = script.pop("banner")
        factory: Any = Factory.forProtocol(ScriptedServer)
        factory.script, factory.heard, factory.open = {**GOOD, **script}, [], []
        factory.sessions, factory.lost, factory.tls = 0, 0, None
        port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        factory.port = port.getHost().port
        return factory

    def verifier(self, server: Any, *, permit_private: bool = True, **options: Any) -> CallbackVerifier:
        """A verifier that calls this server; C{resolver}, C{store} and C{wall} go to it, the rest are limits."""
        given = {name: options.pop(name) for name in ("store", "wall") if name in options}
        resolver, limits = options.pop("resolver", None) or FakeResolver(ZONE), options
        made = CallbackVerifier(
            reactor,
            resolver,
            "mx.example.org",
            limits=CallbackLimits(**{"port": server.port, "reply": 0.3, "total": 5.0, **limits}),
            guard=Guard(permit_private=permit_private),
            chance=lambda: 0.5,
            **given,
        )
        self.addCleanup(lambda: deferLater(reactor, 0.02))  # sockets close
        return made

    async def ask(self, **script: str) -> CallbackOutcome:
        """What a new verifier makes of a server with this script."""
        return await self.verifier(self.serve(**script)).verify(BOB)


class OutcomeTests(VerifierTestCase):
    """One server, one mailbox."""

    async def test_exists(self) -> None:
        """G10: a mailbox that is taken is valid; exactly these commands are sent."""
        server = self.serve()
        verifier = self.verifier(server)
        verifyObject(ICallbackVerifier, verifier)
        outcome = await verifier.verify(BOB)
        self.assertEqual((outcome.result, outcome.exchanger), ("valid", "mail.example.com [127.0.0.1]"))
        self.assertEqual(server.heard[:3], ["EHLO mx.example.org", "MAIL FROM:<>", "RCPT TO:<bob@example.com>"])

    async def test_does_not_exist(self) -> None:
        """G14: the exchanger's words are quoted and attributed."""
        outcome = await self.ask(RCPT="550-5.1.1 no\x07body\r\n550 5.1.1 here")
        self.assertEqual(outcome.result, CallbackResult.INVALID)
        self.assertEqual(
            outcome.explanation,
            "mail.example.com [127.0.0.1] said to RCPT: 550 5.1.1 no?body 5.1.1 here",
        )

    async def test_each_stage(self) -> None:
        """C4: a refusal before RCPT is unknown; 4xx, silence, closing and junk are temporary, never invalid."""
        for verb in ("banner", "EHLO", "MAIL", "RCPT"):
            for said, results in (
                ("421 busy", {"temporary"}),
                ("554 go away", {"unknown"} if verb != "RCPT" else {"invalid"}),
                ("554 5.7.1 blocked by zen.spamhaus.org", {"unknown"}),
                (CLOSE, {"temporary"}),
                (SILENT, {"temporary"}),
                ("hello there", {"temporary"}),
            ):
                script = {verb: said, "HELO": said} if verb == "EHLO" else {verb: said}
                outcome = await self.ask(**script)
                self.assertIn(outcome.result, results, (verb, said, outcome))

    async def test_hostile_servers(self) -> None:
        """C3: a line of 10 MiB and a reply without end are given up."""
        for banner in ("220 " + "x" * 10_485_760, "\r\n".join(["220-more"] * 100_000)):
            outcome = await self.ask(banner=banner)
            self.assertEqual((outcome.result, outcome.stage), ("temporary", "connection"))

    async def test_garbage_in_a_pipe(self) -> None:
        """C4: a server that answers before it is asked is believed nothing."""
        outcome = await self.ask(banner="220 a\r\n250 a\r\n250 ok\r\n250 ok")
        self.assertEqual((outcome.result, outcome.stage), ("temporary", "connection"))
        self.assertIn("before it was asked", outcome.text)

    async def test_tarpit(self) -> None:
        """C3: an octet now and then does not win time; each reply has to be whole in its time."""
        server = self.serve(RCPT=SILENT)
        outcomes = Deferred.fromCoroutine(self.verifier(server, reply=0.3).verify(BOB))
        drip = LoopingCall(lambda: [each.transport.write(b"2") for each in server.open])
        drip.start(0.05)
        self.addCleanup(drip.stop)
        outcome = await outcomes
        self.assertEqual((outcome.result, outcome.text), ("temporary", "no reply to RCPT within 0.3 s"))

    async def test_tls_that_fails(self) -> None:
        """C5: when TLS cannot be set up, the server is asked once more without."""
        server = self.serve(EHLO="250-a\r\n250 STARTTLS", STAR="220 go")
        outcome = await self.verifier(server).verify(BOB)
        self.assertEqual((outcome.result, server.sessions), ("valid", 2))

    async def test_tls(self) -> None:
        """TLS is used when it is offered, whoever signed the certificate."""
        made = make_certificates(Path(self.mktemp()))
        server = self.serve(EHLO="250-a\r\n250 STARTTLS", STAR="220 go")
        server.tls = DefaultOpenSSLContextFactory(f"{made.server.with_suffix('.key')}", str(made.server))
        outcome = await self.verifier(server, reply=5.0).verify(BOB)
        self.assertEqual((outcome.result, server.sessions), ("valid", 1))
        self.assertEqual([line[:4] for line in server.heard][:5], ["EHLO", "STAR", "EHLO", "MAIL", "RCPT"])

    async def test_ourselves(self) -> None:
        """G12, LL-05: a server with our name is ourselves, and says nothing about the sender."""
        outcome = await self.ask(banner="220 mx.example.org")
        self.assertEqual((outcome.result, outcome.stage), ("unknown", "route"))

    async def test_loopback(self) -> None:
        """C1: an exchanger on loopback is not called unless permitted."""
        server = self.serve()
        outcome = await self.verifier(server, permit_private=False).verify(BOB)
        self.assertEqual((outcome.result, outcome.stage, server.sessions), ("unknown", "route", 0))

    async def test_domains(self) -> None:
        """LL-04, G09: a null MX is invalid, DNS trouble temporary; an odd address is not sent anywhere (C9)."""
        server = self.serve()
        for sender, result in (
            ("x@null.example", "invalid"),
            ("x@broken.example", "temporary"),
            ("x\n@example.com", "unknown"),
            ("<>", "unknown"),
        ):
            self.assertEqual((await self.verifier(server).verify(parse_path(sender))).result, result)
        self.assertEqual(server.sessions, 0)

    async def test_next_exchanger(self) -> None:
        """G13: a server that refuses the session is passed over; one that judged the mailbox is not."""
        for script, sessions in (({"banner": "554 no"}, 2), ({"RCPT": "550 no"}, 1), ({"RCPT": "450 later"}, 1)):
            server = self.serve(**script)
            await self.verifier(server).verify(parse_path("<bob@two.example>"))
            self.assertEqual(server.sessions, sessions)

    async def test_nobody_listens(self) -> None:
        """A connection refused is temporary."""
        outcome = await self.verifier(type("Nobody", (), {"port": 1})()).verify(BOB)
        self.assertEqual((outcome.result, outcome.stage), ("temporary", "connection"))


class LimitTests(VerifierTestCase):
    """How much is asked."""

    async def test_cache(self) -> None:
        """G15: the second time nobody is asked."""
        server = self.serve(RCPT="550 5.1.1 no")
        verifier = self.verifier(server)
        first, second = await verifier.verify(BOB), await verifier.verify(parse_path("<BOB@example.com>"))
        self.assertEqual((first.from_cache, second.from_cache, second.result), (False, True, "invalid"))
        self.assertEqual(server.sessions, 1)

    async def test_cache_forgets(self) -> None:
        """C7: what is remembered holds for its time only."""
        server = self.serve()
        verifier = self.verifier(server, keep_valid=0.0)
        await verifier.verify(BOB)
        self.assertFalse((await verifier.verify(BOB)).from_cache)

    async def test_single_flight(self) -> None:
        """C6: a mailbox that many messages ask about is probed once; one that gives up harms nobody."""
        server = self.serve()
        verifier = self.verifier(server)
        asked = [Deferred.fromCoroutine(verifier.verify(BOB)) for _ in range(5)]
        gone = asked.pop()
        gone.addErrback(lambda failure: failure.trap(CancelledError))
        gone.cancel()
        self.assertEqual([(await each).result for each in asked], ["valid"] * 4)
        self.assertEqual(server.sessions, 1)

    async def test_probes_per_hour(self) -> None:
        """C6: a domain is asked so often and no more; that is not remembered of the mailbox."""
        verifier = self.verifier(self.serve(), probes_per_hour=1)
        await verifier.verify(BOB)
        for _ in range(2):
            outcome = await verifier.verify(parse_path("<amy@example.com>"))
            self.assertEqual((outcome.result, outcome.stage, outcome.from_cache), ("unknown", "limit", False))

    async def test_one_at_a_time(self) -> None:
        """C6: callbacks to one domain wait for each other, and too many do not even wait."""
        server = self.serve(RCPT=SILENT)
        verifier = self.verifier(server, waiting=1, per_connection=1)
        asked = [Deferred.fromCoroutine(verifier.verify(parse_path(f"<u{n}@example.com>"))) for n in range(3)]
        self.assertEqual((await asked[2]).stage, "limit")
        await asked[0]
        self.assertEqual(server.sessions, 1)
        await asked[1]
        self.assertEqual(server.sessions, 2)

    async def test_one_connection(self) -> None:
        """G17: mailboxes of one domain that are asked about at once share a connection, each with its own answer."""
        server = self.serve(
            **{"RCPT TO:<amy@example.com>": "550 5.1.1 no amy", "RCPT TO:<tom@example.com>": "451 wait"}
        )
        verifier = self.verifier(server)
        senders = [parse_path(f"<{name}@example.com>") for name in ("bob", "amy", "tom")]
        outcomes = [Deferred.fromCoroutine(verifier.verify(sender)) for sender in senders]
        self.assertEqual([(await each).result for each in outcomes], ["valid", "invalid", "temporary"])
        self.assertEqual(server.sessions, 1)
        self.assertEqual([verifier.recall(sender).result for sender in senders], ["valid", "invalid", "temporary"])  # type: ignore[union-attr]

    async def test_answers_before_a_loss_count(self) -> None:
        """C4: what an exchanger said before it closed or fell silent is kept; the others are temporary."""
        for ending in (CLOSE, SILENT):
            server = self.serve(**{"RCPT TO:<amy@example.com>": ending})
            verifier = self.verifier(server, reply=5.0, total=0.5)
            senders = [parse_path(f"<{name}@example.com>") for name in ("bob", "amy")]
            outcomes = [Deferred.fromCoroutine(verifier.verify(sender)) for sender in senders]
            self.assertEqual([(await each).result for each in outcomes], ["valid", "temporary"], ending)

    async def test_one_leaves_the_others(self) -> None:
        """A mailbox that nobody waits for any more is not asked about; the rest of its connection goes on."""
        server = self.serve()
        resolver = FakeResolver(ZONE, holding=True)
        verifier = self.verifier(server, resolver=resolver)
        senders = [parse_path(f"<{name}@example.com>") for name in ("bob", "amy")]
        stays, leaves = (Deferred.fromCoroutine(verifier.verify(sender)) for sender in senders)
        leaves.addErrback(lambda failure: failure.trap(CancelledError))
        leaves.cancel()
        resolver.holding = False
        resolver.release()
        self.assertEqual((await stays).result, "valid")
        self.assertEqual([line for line in server.heard if "RCPT" in line], ["RCPT TO:<bob@example.com>"])

    async def test_full_connection(self) -> None:
        """G17: more mailboxes than one connection may ask about take another one."""
        server = self.serve()
        verifier = self.verifier(server, per_connection=2)
        senders = [parse_path(f"<u{number}@example.com>") for number in range(3)]
        outcomes = [Deferred.fromCoroutine(verifier.verify(sender)) for sender in senders]
        self.assertEqual([(await each).result for each in outcomes], ["valid"] * 3)
        self.assertEqual(server.sessions, 2)

    async def test_domain_that_is_no_use(self) -> None:
        """C6: what all senders of a domain would hear is asked once; a reply to RCPT is about one of them."""
        amy, bob = parse_path("<amy@example.com>"), BOB
        for script, is_known in (
            ({"banner": CLOSE}, True),
            ({"banner": "554 no service"}, True),
            ({"MAIL": "550 no bounces"}, True),
            ({"RCPT": "550 no such user"}, False),
            ({"RCPT": "451 later"}, False),
        ):
            server = self.serve(**script)
            verifier = self.verifier(server)
            first, second = await verifier.verify(bob), await verifier.verify(amy)
            self.assertEqual((second.from_cache, second.result), (is_known, first.result), script)
            self.assertEqual(server.sessions, 1 if is_known else 2)

    async def test_domain_may_be_of_use_later(self) -> None:
        """That a domain is of no use holds for a while only."""
        server = self.serve(banner=CLOSE)
        verifier = self.verifier(server, keep_others=0.0)
        await verifier.verify(BOB)
        await verifier.verify(parse_path("<amy@example.com>"))
        self.assertEqual(server.sessions, 2)

    async def test_total_time(self) -> None:
        """C3: one deadline for everything."""
        outcome = await self.verifier(self.serve(RCPT=SILENT), reply=5.0, total=0.2).verify(BOB)
        self.assertEqual((outcome.result, outcome.text), ("temporary", "no answer within 0.2 s"))

    async def test_no_turn_in_time(self) -> None:
        """C3, C6: a callback for which no connection was free says nothing of the exchanger, and is not remembered."""
        server = self.serve(RCPT=SILENT)
        verifier = self.verifier(server, reply=5.0, total=0.3, per_connection=1)
        bob, amy = BOB, parse_path("<amy@example.com>")
        asked = [Deferred.fromCoroutine(verifier.verify(sender)) for sender in (bob, amy)]
        first, second = [await each for each in asked]
        self.assertEqual((first.result, first.text), ("temporary", "no answer within 0.3 s"))
        self.assertEqual((second.result, second.stage), ("unknown", "limit"))
        self.assertEqual(second.text, "nobody could be called within 0.3 s")
        self.assertEqual(server.sessions, 1)
        self.assertIsNone(verifier.recall(amy))

    async def test_cancelled(self) -> None:
        """When the last who asked is gone, the connection is given up."""
        server = self.serve(RCPT=SILENT)
        verifier = self.verifier(server, reply=60.0, total=60.0)
        asked = Deferred.fromCoroutine(verifier.verify(BOB))
        asked.addErrback(lambda failure: failure.trap(CancelledError))
        await deferLater(reactor, 0.1)
        asked.cancel()
        await deferLater(reactor, 0.05)
        self.assertEqual((server.sessions, server.lost), (1, 1))

    async def test_stop(self) -> None:
        """At shutdown those who wait get an outcome."""
        verifier = self.verifier(self.serve(RCPT=SILENT), reply=60.0)
        asked = Deferred.fromCoroutine(verifier.verify(BOB))
        await deferLater(reactor, 0.1)
        await verifier.stop()
        self.assertEqual((await asked).result, "unknown")


class BreakerTests(VerifierTestCase):
    """C15: exchangers that keep failing are left alone."""

    async def test_opens_and_closes(self) -> None:
        """After some failures nobody is called there, whomever it is about, until a probe works."""
        server = self.serve(banner="554 your address is listed")
        verifier = self.verifier(server, breaker_failures=2, breaker_pause=0.1, keep_others=0.001)
        asked = [await self.later(verifier, "<bob@[127.0.0.1]>"), await self.later(verifier, "<amy@example.com>")]
        self.assertEqual(([each.stage for each in asked], server.sessions), (["banner", "banner"], 2))
        outcome = await self.later(verifier, "<zoe@two.example>")
        self.assertEqual((outcome.result, outcome.stage, server.sessions), ("unknown", "limit", 2))
        self.assertIn("127.0.0.1 failed 2 times and is not called", outcome.text)
        self.assertIn("554 your address is listed", str(verifier.snapshot()))
        server.script[""] = GOOD[""]
        await deferLater(reactor, 0.1)
        outcome = await self.later(verifier, "<zoe@two.example>")
        self.assertEqual((outcome.result, verifier.snapshot()), ("valid", {"not_called": {}}))

    @staticmethod
    async def later(verifier: CallbackVerifier, path: str) -> CallbackOutcome:
        """The answer, once what was remembered of the domain is forgotten."""
        await deferLater(reactor, 0.002)
        return await verifier.verify(parse_path(path))

    async def test_a_refused_mailbox_is_no_failure(self) -> None:
        """Only what concerns everybody is one."""
        server = self.serve(RCPT="550 nobody")
        verifier = self.verifier(server, breaker_failures=1)
        for name in "abc":
            await verifier.verify(parse_path(f"<{name}@example.com>"))
        self.assertEqual((server.sessions, verifier.snapshot()), (3, {"not_called": {}}))

    async def test_a_backup_is_called(self) -> None:
        """The next exchanger is asked instead."""
        server = self.serve(EHLO=CLOSE)
        verifier = self.verifier(server, breaker_failures=1, keep_others=0.001)
        for _ in range(2):
            await self.later(verifier, "<bob@example.com>")
        self.assertEqual(server.sessions, 1)


class StoreTests(VerifierTestCase):
    """What outlives the process."""

    async def test_after_a_restart(self) -> None:
        """G15, C7: what one process learnt the next one knows, attributed to the exchanger, for as long as it holds."""
        stores, now = MemoryStores(), [1_795_527_000.0]
        server = self.serve(RCPT="550 5.1.1 no bob")
        await self.verifier(server, store=stores.callbacks, wall=lambda: now[0], keep_invalid=60.0).verify(BOB)
        again = self.verifier(server, store=stores.callbacks, wall=lambda: now[0], keep_invalid=60.0)
        for known in (await again.known(BOB), await again.verify(BOB)):
            assert known is not None
            self.assertEqual((known.result, known.from_cache), ("invalid", True))
            self.assertEqual(known.explanation, "mail.example.com [127.0.0.1] said to RCPT: 550 5.1.1 no bob")
        now[0] += 61.0
        later = self.verifier(server, store=stores.callbacks, wall=lambda: now[0])
        self.assertIsNone(await later.known(BOB))
        self.assertFalse((await later.verify(BOB)).from_cache)
        self.assertEqual(server.sessions, 2)

    async def test_no_store(self) -> None:
        """A store that fails is told in the log, and the exchanger is asked."""
        stores = MemoryStores()
        await stores.close()
        verifier = self.verifier(self.serve(), store=stores.callbacks)
        with capturedLogs() as events:
            self.assertEqual((await verifier.verify(BOB)).result, "valid")
            await verifier.verify(parse_path("<ann@example.com>"))
        self.assertTrue((await verifier.verify(BOB)).from_cache)
        told = [formatEvent(event) for event in events if event["log_namespace"] == "twistedmilter.callback_answers"]
        self.assertEqual(told, ["answers to callbacks are in memory only: the store is closed"])  # and only once
        self.assertNotIn("Starting factory", str(list(map(formatEvent, events))))

    async def test_null_mx(self) -> None:
        """RFC 7505: that a domain takes no mail is still known as such when it comes from the store."""
        stores, nobody = MemoryStores(), parse_path("<x@null.example>")
        for _ in range(2):
            verifier = self.verifier(self.serve(), store=stores.callbacks, wall=lambda: 1.0)
            self.assertTrue((await verifier.verify(nobody)).is_null_mx)


class MadeTests(SynchronousTestCase):
    """A verifier from a configuration."""

    def test_own_name(self) -> None:
        """The section's name, else the one of Authentication-Results if it is a host name, else the host's."""
        for own_name, authserv_id, expected in (
            ("Out.example.org", "mx.example.org", "out.example.org"),
            ("", "mx.example.org", "mx.example.org"),
            ("", "front", "host.example.net"),
            ("", "", "host.example.net"),
        ):
            settings = Settings(
                callback=CallbackSettings(own_name=own_name), server=ServerSettings(authserv_id=authserv_id)
            )
            self.assertEqual(own_name_of(settings, "host.example.net"), expected)

    def test_guard(self) -> None:
        """All names and addresses that are ours are never called."""
        zone = "".join(
            f"{name}.test MX 10 {name}.ours.test\n{name}.ours.test A {address}\n"
            for name, address in (("out", "8.8.8.1"), ("host", "8.8.8.2"), ("mx", "8.8.8.3"), ("nat", "8.8.8.4"))
        )
        section = CallbackSettings(own_name="out.ours.test", own_names=["MX.ours.test"], own_addresses=["8.8.8.4"])
        clock = MemoryReactorClock()
        verifier = make_verifier(
            Settings(callback=section), clock, FakeResolver(zone), "host.ours.test", chance=lambda: 0.5
        )
        for name in ("out", "host", "mx", "nat"):
            mailbox = parse_path(f"<bob@{name}.test>")
            outcome = self.successResultOf(Deferred.fromCoroutine(verifier.verify(mailbox)))
            self.assertEqual((outcome.result, outcome.stage), ("unknown", "route"))
            self.assertIn("is ourselves", outcome.text)
        self.assertEqual(clock.tcpClients, [])

    def test_limits(self) -> None:
        """Days, hours and minutes become seconds; the defaults are those of the section."""
        self.assertEqual(CallbackLimits.of(CallbackSettings()), CallbackLimits())


class JudgementTests(SynchronousTestCase):
    """What a reply to RCPT says."""

    def test_replies(self) -> None:
        """Only 55x that is about the mailbox is invalid."""
        for code, text, result in (
            (251, "ok", "valid"),
            (450, "4.7.1 greylisted", "temporary"),
            (550, "5.1.1 no such user", "invalid"),
            (550, "you are listed in bl.example", "unknown"),
            (554, "5.7.1 <unknown[192.0.2.1]>: Client host rejected: cannot find your reverse hostname", "unknown"),
            (550, "5.7.25 192.0.2.1 shows no identity", "unknown"),
            (550, "5.4.1 Recipient address rejected: Access denied", "invalid"),
            (553, "sorry, your envelope sender is not wanted (#5.7.1)", "unknown"),
            (550, "sorry, no mailbox here by that name. (#5.1.1)", "invalid"),
            (550, "Client host rejected: cannot find your hostname", "unknown"),
            (550, "Administrative prohibition", "unknown"),
            (550, "SPF check failed", "unknown"),
            (550, "5.1.1 your domain example.com has no such user", "invalid"),
            (550, "No Such User Here", "invalid"),
            (550, "5.2.2 mailbox full", "temporary"),
            (552, "quota", "temporary"),
            (501, "syntax", "unknown"),
            (530, "authentication required", "unknown"),
            (354, "go on", "unknown"),
        ):
            self.assertEqual(judge(SMTPStage.RCPT, Reply(code, (text,))), result, text)
