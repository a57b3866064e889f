"""The stage interfaces of a check.

A check implements the stages that it needs; negotiation with the MTA is computed from that.  Every method
answers a L{Verdict} or C{None} for "no opinion", and may raise L{TemporaryFailure}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zope.interface import Attribute, Interface

from twistedmilter.model.transaction import Connection, Recipient, Transaction
from twistedmilter.model.verdict import Verdict


class ICheck(Interface):
    """What all checks have."""

    name: str = Attribute("snake_case name, as in the configuration and the record")
    local: bool = Attribute("True when it never waits for the network; asked for the record after a verdict")


class IConnectCheck(ICheck):
    """A check with an opinion once the client is known."""

    async def check_connect(connection: Connection) -> Verdict | None:
        """Judge the client; a refusal lasts for the connection."""


class IClientClassifier(IConnectCheck):
    """A check that tells what the client is to us (L{ClientClass}); asked first, and all others wait for it."""


class IHeloCheck(ICheck):
    """A check with an opinion once HELO or EHLO is known."""

    async def check_helo(connection: Connection) -> Verdict | None:
        """Judge the HELO name; a refusal lasts until the next HELO."""


class IMailCheck(ICheck):
    """A check with an opinion once the reverse-path is known."""

    async def check_mail(transaction: Transaction) -> Verdict | None:
        """Judge the sender; a refusal ends with the transaction."""


class IRcptCheck(ICheck):
    """A check with an opinion on each forward-path."""

    async def check_rcpt(transaction: Transaction, recipient: Recipient) -> Verdict | None:
        """Judge one recipient; a refusal is for that recipient."""


class IHeaderCheck(ICheck):
    """A check that reads the header section."""

    async def check_headers(transaction: Transaction) -> Verdict | None:
        """Judge the header section, once, at its end."""


class IEndOfMessageCheck(ICheck):
    """A check with an opinion when everything is known."""

    async def check_end_of_message(transaction: Transaction) -> Verdict | None:
        """Judge the whole message; the only place where long waits are proper."""


class ILastCheck(ICheck):
    """A check that costs other hosts something: asked after all others, and only when none of them decided."""

    async def check_last(transaction: Transaction) -> Verdict | None:
        """Judge a message that would go on otherwise."""


class IRunningCheck(ICheck):
    """A check that has something to do between messages, such as following a file."""

    def start(reactor: Any) -> None:
        """The service listens; not called in a scan, so the check must answer without it.

        @param reactor: has timers on the monotonic clock, and threads.
        """

    def stop() -> None:
        """The service ends."""

    def status() -> Mapping[str, object]:
        """What C{twistedmilter status} shows of it, in what JSON can tell."""


class INameJudge(Interface):
    """What a check offers beside its stages when it knows lent addresses by the looks of their names."""

    def looks_dynamic(connection: Connection) -> bool:
        """Whether the MTA's name of the client is that of a lent address (seed-spec B05); asks nobody, and is quick."""


class IBodyCheck(IEndOfMessageCheck):
    """A check that reads the body; its verdict comes at end of message."""

    def body_chunk(transaction: Transaction, octets: bytes) -> None:
        """Take the next octets of the body; synchronous and quick."""
