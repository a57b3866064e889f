"""The openspf test suite for RFC 7208, through the driver: over a fake, and over a real server on loopback (A1)."""

from __future__ import annotations

from secrets import randbits
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from tests.fakes import FakeResolver
from tests.nameserver import NameServer
from tests.openspf import Case, Scenario, scenarios
from twistedmilter.interfaces.dns import IResolver
from twistedmilter.model.settings import ResolverSettings
from twistedmilter.resolver import Resolver
from twistedmilter.spf_driver import SPFEvaluator

CASES = 203
TIMEOUT = 1.0  # seconds; the suite has a dozen names that never answer


async def complaint(evaluator: SPFEvaluator, case: Case) -> str:
    """What is wrong with the outcome of a case; empty if nothing is."""
    outcome = await evaluator.check_host(case.ip, case.mail_from, case.helo)
    if outcome.result not in case.results:
        return f"{case.name}: {outcome.result}, should be {' or '.join(case.results)}; {outcome.problem}"
    if case.explanation is not None and outcome.explanation != case.explanation:
        return f"{case.name}: explained as {outcome.explanation!r}, should be {case.explanation!r}"
    return ""


async def complaints(scenario: Scenario, resolver: IResolver) -> list[str]:
    """What is wrong with the outcomes of a scenario, its cases evaluated at the same time."""
    evaluator = SPFEvaluator(resolver, reactor.seconds)
    checks = [Deferred.fromCoroutine(complaint(evaluator, case)) for case in scenario.cases]
    return [f"{scenario.name}: {text}" for text in await gatherResults(checks) if text]


class OpenSPFTests(TestCase):
    """All cases, explanations included."""

    timeout = 60  # seconds

    def test_whole(self) -> None:
        """The suite is all there."""
        self.assertEqual(sum(len(scenario.cases) for scenario in scenarios()), CASES)

    async def test_over_a_fake(self) -> None:
        """The driver is right when every answer is there at once."""
        for scenario in scenarios():
            resolver = FakeResolver()
            resolver.zone = scenario.zone
            self.assertEqual(await complaints(scenario, resolver), [])

    async def test_over_udp(self) -> None:
        """The driver and the resolver are right over UDP, with servers that do not answer."""
        for scenario in scenarios():
            self.assertEqual(await self.over_loopback(scenario), [])

    async def test_over_tcp(self) -> None:
        """... and when every answer is truncated, so that TCP has to be used."""
        for scenario in scenarios():
            self.assertEqual(await self.over_loopback(scenario, truncate=True), [])

    async def test_over_servers_that_show_one_link(self) -> None:
        """... and when the server leaves following CNAME chains to us."""
        for scenario in scenarios():
            if any("CNAME" in rdtype.name for node in scenario.zone.records.values() for rdtype in node):
                self.assertEqual(await self.over_loopback(scenario, one_link=True), [])

    async def over_loopback(self, scenario: Scenario, **how: Any) -> list[str]:
        """The scenario through a real resolver and a real server of its own."""
        server = NameServer.listening(reactor, scenario.zone, **how)
        resolver = Resolver(
            reactor,  # type: ignore[arg-type]
            ResolverSettings(timeout=TIMEOUT),
            nameservers=[server.address],
            randomness=lambda: randbits(16),
        )
        try:
            return await complaints(scenario, resolver)
        finally:
            await resolver.stop()
            await server.stop()
