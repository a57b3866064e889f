"""Signed senders, as a receiver sees them that knows SPF alone: pyspf, a real DNS client, and our name server (6.5)."""

from __future__ import annotations

from typing import Any

import dns.resolver
import spf
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.blocklist.test_signature_zone import NOW, SIGNED, TestVerifier
from tests.test_dns_server import server
from twistedmilter.model.dns_server_settings import ZoneSettings

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
