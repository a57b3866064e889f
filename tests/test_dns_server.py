"""The name server as a whole: sockets, zone files that change, what it tells of itself."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.blocklist.test_signature_zone import NOW, TestVerifier
from twistedmilter.control import CommandError
from twistedmilter.dns_commands import DNSCommands
from twistedmilter.dns_server import DNSServer
from twistedmilter.dns_zones import zone_problems
from twistedmilter.errors import ConfigError
from twistedmilter.model.dns_server_settings import (
    DNSServerSettings,
    ZoneFileSettings,
    ZoneSettings,
    shipped_zones,
)

LOCAL = "127.0.0.1"


def server(world: Any, *zones: ZoneSettings, listen: tuple[str, ...] = ("127.0.0.1:0",), **options: Any) -> DNSServer:
    """One with these zones."""
    settings = DNSServerSettings(listen=list(listen), zones=list(zones))
    return DNSServer(settings, ["192.0.2.0/24", "mx.example.com"], world, lambda: NOW, bytes(16), **options)


class DNSZoneTests(SynchronousTestCase):
    """One zone, its file, and a clock that stands still."""

    def setUp(self) -> None:
        """A file with one domain."""
        self.clock = Clock()
        self.path = Path(self.mktemp())
        self.write(".a.example :127.0.0.4:because\n")
        self.server = server(self.clock, ZoneSettings(name="bl.example.net", files=[str(self.path)]))

    def write(self, text: str) -> None:
        """Another file, of another time, some time ago."""
        self.path.write_text(text)
        self.stamp = getattr(self, "stamp", NOW - 1000) + 10
        os.utime(self.path, (self.stamp, self.stamp))

    def rcode(self, name: str = "a.example", host: str = LOCAL) -> dns.rcode.Rcode:
        """What a query for a name gets."""
        wire = self.server.responder.datagram(dns.message.make_query(f"{name}.bl.example.net", "A").to_wire(), host)
        assert wire is not None
        return dns.message.from_wire(wire).rcode()

    def serial(self) -> int:
        """That of the zone."""
        return self.server.zones["bl.example.net"].served.authority.serial

    def test_before_the_first_reading(self) -> None:
        """D21: SERVFAIL, never "not listed"."""
        self.assertEqual(self.rcode(), dns.rcode.SERVFAIL)

    def test_loaded(self) -> None:
        """It lists, and by default only loopback and networks.internal may ask."""
        self.server.start()
        self.assertEqual([self.rcode(), self.rcode("b.example")], [dns.rcode.NOERROR, dns.rcode.NXDOMAIN])
        self.assertEqual([self.rcode(host="192.0.2.1"), self.rcode(host="198.51.100.1")], [0, dns.rcode.REFUSED])

    def test_a_changed_file(self) -> None:
        """It is read at the next look, and the serial grows."""
        self.server.start()
        before = self.serial()
        self.write(".b.example\n")
        self.assertEqual(self.rcode("b.example"), dns.rcode.NXDOMAIN)
        self.clock.pump([5, 0, 0, 0])
        self.assertEqual([self.rcode("b.example"), self.rcode()], [dns.rcode.NOERROR, dns.rcode.NXDOMAIN])
        self.assertGreater(self.serial(), before)

    def test_a_file_that_is_being_written(self) -> None:
        """D20: what was written to less than 2 s ago is left alone."""
        self.server.start()
        self.path.write_text(".b.exam")
        os.utime(self.path, (NOW - 1, NOW - 1))
        self.clock.advance(5)
        self.assertEqual(self.rcode(), dns.rcode.NOERROR)
        self.write(".b.example\n")
        self.clock.pump([5, 0, 0])
        self.assertEqual(self.rcode("b.example"), dns.rcode.NOERROR)

    def test_a_bad_file(self) -> None:
        """D18: the old zone stays; it is told once, with file, line and column, and shows in the status."""
        self.server.start()
        self.write(".a.example\nregex:(\n")
        with capturedLogs() as events:
            self.clock.pump([5, 0, 5, 0, 5])
        self.assertEqual(self.rcode(), dns.rcode.NOERROR)
        told = [event for event in events if "the zone that was loaded before stays" in str(event.get("stays"))]
        self.assertEqual(len(told), 1)
        shown = self.server.zones["bl.example.net"].snapshot()
        self.assertIn(f"{self.path}:2:", str(shown["trouble"]))
        self.assertEqual((shown["loads"], shown["failed_loads"], shown["rules"]), (1, 1, 1))
        self.write(".a.example\n")
        self.clock.pump([5, 0])
        self.assertEqual(self.server.zones["bl.example.net"].trouble, "")

    def test_a_file_that_vanishes(self) -> None:
        """So is one that is no file."""
        self.server.start()
        self.path.unlink()
        self.clock.pump([5, 0])
        self.assertEqual(self.rcode(), dns.rcode.NOERROR)
        self.path.mkdir()
        self.clock.pump([5, 0])
        self.assertIn("it is no file", self.server.zones["bl.example.net"].trouble)

    def test_a_file_that_shrinks(self) -> None:
        """47: half a list is no list, unless that is meant."""
        self.write("".join(f"d{number}.example\n" for number in range(100)))
        self.server.start()
        self.write("d1.example\n")
        self.clock.pump([5, 0, 0])
        self.assertEqual(self.rcode("d2.example"), dns.rcode.NOERROR)
        commands = DNSCommands(self.server).commands
        self.assertEqual(commands["dns-reload"]({"zone": "bl.example.net", "forced": True}), ["bl.example.net"])
        self.clock.pump([0, 0])
        self.assertEqual(self.rcode("d2.example"), dns.rcode.NXDOMAIN)
        self.assertRaises(CommandError, commands["dns-reload"], {"zone": "other"})
        self.assertIn("bl.example.net", str(commands["dns-zones"]({})))

    def test_slices(self) -> None:
        """A long file leaves time for others; what was there before is served meanwhile."""
        self.server.start()
        self.write("".join(f"d{number}.example\n" for number in range(20_000)))
        zone = self.server.zones["bl.example.net"]
        zone._reactor = clock = SlowClock()
        zone.look()
        self.assertEqual((self.rcode(), zone.loads), (dns.rcode.NOERROR, 1))
        clock.pump([1] * 3)
        self.assertGreater(clock.turns, 10)
        self.assertEqual((self.rcode("d9.example"), zone.loads), (dns.rcode.NOERROR, 2))

    def test_stop_while_loading(self) -> None:
        """Nothing goes on."""
        self.write("".join(f"d{number}.example\n" for number in range(5_000)))
        zone = self.server.zones["bl.example.net"]
        zone._reactor = SlowClock()
        zone.look()
        zone.stop()
        self.assertEqual((zone._reactor.getDelayedCalls(), zone.loads), ([], 0))

    def test_status(self) -> None:
        """Answers by kind, and everything that may be wrong."""
        self.server.start()
        for name in ("a.example", "a.example", "b.example"):
            self.rcode(name)
        self.rcode(host="198.51.100.1")
        shown = self.server.snapshot()
        zone = shown["zones"]["bl.example.net"]  # type: ignore[index]
        self.assertEqual((zone["positive"], zone["negative"], zone["error"]), (2, 1, 0))
        self.assertEqual(shown["outside_zones"], 1)

    def test_what_the_file_says_about_the_zone(self) -> None:
        """$SOA and $NS of rbldnsd are taken, where the configuration says nothing."""
        self.path.write_text(
            "$SOA 3000 ns.example.org host.example.org 7 600 300 86400 5\n$NS 3600 ns.example.org\na.example\n"
        )
        entry = ZoneFileSettings(path=str(self.path), format="dnset")
        for names, expected in (([], b"\2ns\7example\3org\0"), (["ns1.example.com"], b"\3ns1\7example\3com\0")):
            zone = ZoneSettings(name="bl.example.net", files=[entry], name_servers=names)
            self.server = server(self.clock, zone)
            self.server.start()
            authority = self.server.zones["bl.example.net"].served.authority
            self.assertIn(expected, authority.name_servers().octets)
            self.assertEqual((authority.serial, authority.timers.negative), (7, 5))

    def test_problems_without_a_server(self) -> None:
        """What C{check-config} tells."""
        self.write("regex:(\n")
        [problem] = zone_problems(ZoneSettings(name="bl.example.net", files=[str(self.path)]), lambda: NOW)
        self.assertEqual((problem.line, problem.is_fatal), (1, True))

    def test_the_packaged_example(self) -> None:
        """It can be read, and does what it says."""
        [zone] = shipped_zones()
        self.assertEqual(zone_problems(zone, lambda: NOW), [])
        self.server = server(self.clock, zone)
        self.server.start()
        asked = dns.message.make_query("ded307.com.rhsbl.example.net", "TXT").to_wire()
        answer = dns.message.from_wire(self.server.responder.datagram(asked, LOCAL) or b"")
        self.assertIn("Throwaway domain ded307.com", answer.answer[0].to_text())


class SlowClock(Clock):
    """Every look at it takes a millisecond.

    @ivar turns: calls that somebody wanted later.
    """

    turns = 0

    def callLater(  # the names are Twisted's
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002
        *args: object,
        **kw: object,
    ) -> Any:
        """One more."""
        self.turns += 1
        return super().callLater(delay, callable, *args, **kw)

    def seconds(self) -> float:
        """Later than before."""
        self.rightNow += 0.001
        return super().seconds()


class SignatureServerTests(SynchronousTestCase):
    """Zones of kind C{ses}."""

    def test_without_secrets(self) -> None:
        """It cannot be served, and that is told with its key."""
        zone = ZoneSettings(name="_ses.mouse.com", kind="ses", public=True)
        error = self.assertRaises(ConfigError, server, Clock(), zone)
        self.assertIn("dns.zones[0].kind", str(error))
        self.assertIn("_ses.mouse.com", str(server(Clock(), zone, verifier=TestVerifier()).snapshot()))


class DNSServerTests(TestCase):
    """Real sockets."""

    def start(self, *zones: ZoneSettings, **options: Any) -> tuple[str, int]:
        """The address of a server that runs until the end of the test."""
        world: Any = reactor
        made = server(world, *(zones or shipped_zones()), **options)
        self.addCleanup(made.stop)
        made.open()
        made.start()
        return made.datagrams[0].address

    async def test_udp_and_tcp(self) -> None:
        """One number for both, and the same answer."""
        host, port = self.start()
        asked = dns.message.make_query("ded307.com.rhsbl.example.net", "A")
        for transport in (dns.query.udp, dns.query.tcp):
            answer = await deferToThread(transport, asked, host, port=port, timeout=5)
            self.assertEqual(answer.answer[0].to_text().split()[-1], "127.0.0.2")

    async def test_a_port_in_use(self) -> None:
        """One line names the key, and nothing is left open."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
            made = server(reactor, *shipped_zones(), listen=("127.0.0.1:0", listen))
            error = self.assertRaises(ConfigError, made.open)
            self.assertRegex(str(error), rf"dns\.listen\[1\]: cannot listen on {listen}: .*in use")
            await made.stop()

    async def test_without_zones(self) -> None:
        """Nothing is opened."""
        made = server(reactor)
        made.open()
        made.start()
        self.assertEqual((made.datagrams, made.ports), ([], []))
        await made.stop()

    async def test_after_the_stop(self) -> None:
        """The port is free."""
        world: Any = reactor
        made = server(world, *shipped_zones())
        made.open()
        made.start()
        address = made.datagrams[0].address
        await made.stop()
        waited: Deferred[None] = deferLater(world, 0.01, lambda: None)
        await waited
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(address)


class DNSProcessTests(TestCase):
    """Processes of their own, on real sockets."""

    def setUp(self) -> None:
        """Two of them."""
        settings = DNSServerSettings(listen=["127.0.0.1:0"], zones=shipped_zones(), processes=2)
        self.server = DNSServer(settings, [], reactor, lambda: NOW, bytes(16))
        self.addCleanup(self.server.stop)
        self.server.open()
        self.server.start()

    async def ask(self, transport: Any = dns.query.udp) -> dns.message.Message | None:
        """One question, until there is an answer with data; None if there is none for long."""
        host, port = self.server.addresses[0]
        asked = dns.message.make_query("ded307.com.rhsbl.example.net", "A")
        for _ in range(100):
            try:
                answer: dns.message.Message = await deferToThread(transport, asked, host, port=port, timeout=1)
            except dns.exception.Timeout:
                continue
            if answer.answer:
                return answer
            await self.wait(0.1)
        return None

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        waited: Deferred[None] = deferLater(IReactorTime(reactor), seconds, lambda: None)
        await waited

    async def test_they_answer_and_end(self) -> None:
        """Over both transports; they tell how they are; and they are gone after the stop."""
        for transport in (dns.query.udp, dns.query.tcp):
            self.assertIsNotNone(await self.ask(transport))
        while self.server.snapshot()["processes"] != 2:
            await self.wait(0.1)
        self.assertIn("rhsbl.example.net", str(self.server.snapshot()["zones"]))
        pids = self.pids()
        await self.server.stop()
        self.assertEqual([is_running(pid) for pid in pids], [False, False])

    async def test_one_that_is_killed(self) -> None:
        """It is told, and another takes its place."""
        await self.ask()
        first = self.pids()
        with capturedLogs() as events:
            os.kill(first[0], 9)
            while self.pids()[0] in {first[0], 0}:
                await self.wait(0.1)
        self.assertTrue(any("ended" in str(event.get("log_format")) for event in events))
        self.assertIsNotNone(await self.ask())

    def pids(self) -> list[int]:
        """Those that run; 0 for one that does not."""
        assert self.server._processes is not None
        workers: Any = self.server._processes._workers
        return [worker.transport.pid or 0 for worker in workers]


def is_running(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()
