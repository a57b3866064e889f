"""Signed senders, as a receiver sees them that knows SPF alone: pyspf, a real DNS client, and our name server (6.5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dns.message
import dns.resolver
import spf
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.blocklist.test_signature_zone import NOW, SIGNED, TestVerifier
from tests.test_dns_server import server
from twistedmilter.composition import build_signature_verifier
from twistedmilter.configfile.loading import from_raw
from twistedmilter.configfile.reading import RawConfig
from twistedmilter.model.dns_server_settings import ZoneSettings
from twistedmilter.signers import make_signers

LONG = "ses=fe68q8y4xot6zw5xz=" + "a" * 42


class SignatureTests(TestCase):
    """C{exists:%{l}._ses.%{d}} in the policy of mouse.com; the message comes from a host that it does not know."""

    def setUp(self) -> None:
        """A server, and a pyspf that asks it for everything but the policy."""
        self.verifier = TestVerifier({SIGNED: NOW + 999, "ses=fe68q8y4xot6zw5xz=john.doe": NOW + 999, LONG: NOW + 999})
        zone = ZoneSettings(name="_ses.mouse.com", kind="ses", public=True)
        served = server(reactor, zone, verifier=self.verifier)
        self.addCleanup(served.stop)
        served.open()
        served.start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [served.addresses[0][0]], served.addresses[0][1]
        self.patch(dns.resolver, "default_resolver", resolver)
        self.policy = b"v=spf1 exists:%{l}._ses.%{d} -all"
        self.patch(spf, "DNSLookup", self.look_up)

    def look_up(self, name: str, rdtype: str, *args: Any, **options: Any) -> Any:
        """The policy from here, all else from the server."""
        if rdtype != "A":
            return [((name, rdtype), [self.policy])] if rdtype == "TXT" else []
        return spf.DNSLookup_dnspython(name, rdtype, *args, **options)

    async def result(self, local_part: str) -> str:
        """What a receiver makes of a sender."""
        checked = await deferToThread(spf.check2, "192.0.2.1", f"{local_part}@mouse.com", "forwarder.example")
        return str(checked[0])

    async def test_a_signed_sender(self) -> None:
        """It passes from anywhere, in any case; a dot in the name makes two labels of it."""
        for local_part in (SIGNED, SIGNED.upper(), SIGNED.title(), "SES=FE68Q8Y4XOT6ZW5XZ=John.Doe"):
            self.assertEqual(await self.result(local_part), "pass", local_part)

    async def test_a_forged_sender(self) -> None:
        """Another signature, another user, none."""
        for local_part in ("SES=FE68Q8Y4XOT6ZW5XA=mickey", "SES=FE68Q8Y4XOT6ZW5XZ=minnie", "mickey", "john.doe"):
            self.assertEqual(await self.result(local_part), "fail", local_part)

    async def test_another_macro(self) -> None:
        """C{%{l=}} splits the local part at its equals signs."""
        self.policy = b"v=spf1 exists:%{l=}._ses.%{d} -all"
        self.assertEqual(await self.result("SES=FE68Q8Y4XOT6ZW5XZ=mickey"), "pass")
        self.assertEqual(await self.result("SES=FE68Q8Y4XOT6ZW5XA=mickey"), "fail")

    async def test_a_long_local_part(self) -> None:
        """One that fits no label cannot be asked for, and fails; so it is not to be signed."""
        self.assertEqual(await self.result(LONG), "fail")
        self.assertEqual(self.verifier.asked, [])


class ServiceSignatureTests(SynchronousTestCase):
    """With the secrets of the configuration."""

    def test_real_signatures(self) -> None:
        """What C{[ses]} signs is valid by name, and nothing else; 45: that is all that is told."""
        directory = Path(self.mktemp()).resolve()
        directory.mkdir(mode=0o700)
        secret = directory / "srs.secret"
        secret.write_text("0123456789abcdef0123456789abcdef0123456789abcdef\n")
        secret.chmod(0o600)
        zone = {"name": "_ses.mouse.com", "kind": "ses", "public": True}
        tables: dict[str, object] = {
            "srs": {"secret_file": str(secret)},
            "ses": {"domains": ["mouse.com"]},
            "dns": {"zones": [zone]},
        }
        loaded = from_raw(RawConfig(str(directory / "c.toml"), tables))
        verifier = build_signature_verifier(loaded, directory)
        assert verifier is not None
        rewriter = make_signers(loaded.settings, directory, directory).rewriter
        assert rewriter is not None
        signed = rewriter.outgoing("mickey@mouse.com", NOW).partition("@")[0]
        made = server(Clock(), loaded.settings.dns.zones[0], verifier=verifier)
        for local_part, expected in ((signed, 1), (signed.lower(), 1), (signed[:-1] + "x", 0), ("mickey", 0)):
            asked = dns.message.make_query(f"{local_part}._ses.mouse.com", "A").to_wire()
            answer = dns.message.from_wire(made.responder.datagram(asked, "192.0.2.1") or b"")
            self.assertEqual(len(answer.answer), expected, local_part)
