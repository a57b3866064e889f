"""Tests of what the service says on its own account: what is loaded, and that it is stopped."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeResolver
from twistedmilter import own_addresses
from twistedmilter.interfaces.callbacks import CallbackResult
from twistedmilter.model.address import parse_path
from twistedmilter.model.callback_settings import CallbackSettings
from twistedmilter.model.conduct_settings import RecipientsSettings
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.model.settings import Settings
from twistedmilter.outbound import Outbound
from twistedmilter.store.memory import MemoryStores

LOAD = """
import sys, time
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twistedmilter.configfile import load_settings
from twistedmilter.service import build_service
build_service(load_settings(sys.argv[1]), Clock(), time.time)
print(*sorted(name for name in sys.modules if name.startswith("twistedmilter.")))
"""
HEAVY = {"twistedmilter.callback", "twistedmilter.dsn", "twistedmilter.inner_server", "twistedmilter.wire.smtp_client"}


def outbound(reactor: Any, **sections: Any) -> Outbound:
    """That of these sections."""
    stores: Any = MemoryStores()
    settings = Settings(**sections)
    return Outbound(settings, reactor, FakeResolver(), stores, state_dir=Path(), wall=lambda: 0.0)


class WantedTests(SynchronousTestCase):
    """What there is, by configuration."""

    def test_stock(self) -> None:
        """Nobody can be asked or told."""
        found = outbound(Clock())
        self.assertEqual((found.callbacks, found.inner, found.notices), (None, None, None))
        found.stop()

    def test_switched_on(self) -> None:
        """Each section brings what it needs; notifications need the verifier."""
        found = outbound(Clock(), callback=CallbackSettings(mode="enforce"))
        self.assertEqual((found.callbacks is None, found.notices), (False, None))
        found = outbound(Clock(), dsn=DsnSettings(mode="observe"))
        self.assertEqual((found.callbacks is None, found.notices is None), (False, False))
        found = outbound(Clock(), recipients=RecipientsSettings(mode="enforce", ask="127.0.0.1"))
        self.assertEqual((found.callbacks, found.inner is None), (None, False))

    def test_stock_loads_none_of_it(self) -> None:
        """A service that may ask nobody does not load what asks: it has to listen soon."""
        config = Path(self.mktemp())
        config.write_text(f'[server]\nstate_dir = "{Path(self.mktemp()).absolute()}"\n', "utf-8")
        loaded = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", LOAD, str(config)], capture_output=True, text=True, check=True
        )
        self.assertEqual(HEAVY & set(loaded.stdout.split()), set())


class OwnAddressTests(SynchronousTestCase):
    """An MX that leads back to us."""

    def test_an_interface_of_this_host_is_not_called(self) -> None:
        """C1: whatever its name says, and also where private addresses may be called."""
        self.patch(own_addresses, "interface_addresses", lambda: frozenset({ip_address("10.0.0.5")}))
        self.patch(own_addresses.OwnAddresses.__init__, "__defaults__", (own_addresses.interface_addresses,))
        reactor = MemoryReactorClock()
        found = outbound(reactor, callback=CallbackSettings(mode="enforce", permit_private=True))
        assert found.callbacks is not None
        asked = Deferred.fromCoroutine(found.callbacks.verify(parse_path("<amy@[10.0.0.5]>")))
        outcome = self.successResultOf(asked)
        self.assertEqual((outcome.result, outcome.stage), (CallbackResult.UNKNOWN, "route"))
        self.assertIn("is ourselves", outcome.text)
        self.assertEqual(reactor.tcpClients, [])


class StopTests(SynchronousTestCase):
    """The end of the service."""

    def test_time_is_over_while_connecting(self) -> None:
        """C3: an address that nobody answers at costs no more than the total, and is no fault of ours."""
        reactor = MemoryReactorClock()
        found = outbound(
            reactor, callback=CallbackSettings(mode="enforce", total_timeout=5.0, permit_private=True, port=2_525)
        )
        assert found.callbacks is not None
        asked = Deferred.fromCoroutine(found.callbacks.verify(parse_path("<amy@[127.0.0.9]>")))
        reactor.advance(5.0)
        self.assertEqual(self.successResultOf(asked).text, "no answer within 5 s")

    def test_questions_behind_us_are_given_up(self) -> None:
        """The inner server's verifier stops with the others: who waits for it is told so."""
        reactor = MemoryReactorClock()
        section = RecipientsSettings(mode="enforce", ask="127.0.0.1")
        found = outbound(reactor, recipients=section)
        assert found.inner is not None
        asked = Deferred.fromCoroutine(found.inner.verify(parse_path("<amy@example.org>")))
        self.assertNoResult(asked)
        found.stop()
        self.assertEqual(self.successResultOf(asked).result, CallbackResult.UNKNOWN)
        self.assertEqual(reactor.getDelayedCalls(), [])
