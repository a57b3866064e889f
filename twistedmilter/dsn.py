"""The face of notifications: by the walk, the connections and the limits of callbacks (seed-spec G10, G11, G26).

The verifier, which lives in L{twistedmilter.callback}, can be had from here as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.python.failure import Failure
from zope.interface import implementer

from twistedmilter.callback import CallbackVerifier, Talk, make_verifier, own_name_of
from twistedmilter.callback_judgement import SMTPEnd, probed
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult
from twistedmilter.interfaces.notifications import INotifier, NotSentError
from twistedmilter.interfaces.signing import IAddressSigner
from twistedmilter.model.address import Mailbox
from twistedmilter.model.settings import Settings
from twistedmilter.policy.checks.dsn import NoticeMeans
from twistedmilter.signing.tracking_token import MIN_SECRET, HMACSigner
from twistedmilter.wire.smtp_client import SMTPStage
from twistedmilter.wire.smtp_delivery import SMTPDeliverySession

__all__ = (
    "CallbackVerifier",
    "FileSigner",
    "Notifier",
    "make_notices",
    "make_verifier",
    "own_name_of",
    "read_or_make_secret",
)

SECRET_OCTETS: Final = 32
SECRET_FILE: Final = "dsn.secret"  # noqa: S105 - its name, in the state directory


class _Delivery:
    """One message on its way; a server that may have taken it is the last that is asked."""

    def __init__(self, own_name: str, mailboxes: Sequence[Mailbox], content: bytes) -> None:
        """Nothing is open yet.

        @raise ValueError: a mailbox or the content cannot be sent.
        """
        self._make = partial(SMTPDeliverySession, own_name, mailboxes, content)
        self._session = self._make()

    @property
    def was_sent(self) -> bool:
        """Whether a server may have taken it."""
        return self._session.was_sent

    def open(self, starttls: bool) -> SMTPDeliverySession:
        """A session with the next server."""
        self._session = self._make(starttls=starttls)
        return self._session

    def judge(self, exchanger: str, end: SMTPEnd) -> tuple[CallbackOutcome, bool]:
        """What the end of a session says, and whether it decides."""
        outcome, decisive = probed(exchanger, end)
        if isinstance(end, str) and self.was_sent:
            return self.unanswered(exchanger, end), True
        return outcome, decisive

    @staticmethod
    def unanswered(exchanger: str, why: str) -> CallbackOutcome:
        """It was sent, and nobody knows what became of it; the mailbox was taken, so it exists."""
        return CallbackOutcome(CallbackResult.VALID, SMTPStage.CONTENT, exchanger, f"sent, but not acknowledged: {why}")


@implementer(INotifier)
class Notifier:
    """Delivers notifications; what an exchanger says of a mailbox is remembered as that of a callback is."""

    def __init__(self, clock: Any, verifier: CallbackVerifier, own_name: str, *, total: float = 30.0) -> None:
        """Ready; nothing is opened before there is something to deliver.

        @param own_name: for EHLO and for the postmaster whom a server may want as sender.
        @param total: seconds for one delivery.
        """
        self._clock = clock
        self._verifier = verifier
        self._own_name = own_name
        self._total = total

    async def deliver(self, mailboxes: Sequence[Mailbox], content: bytes) -> CallbackOutcome:
        """Deliver to the exchangers of the first mailbox, unless they are known to refuse it; see L{INotifier}."""
        first = mailboxes[0]
        known = await self._verifier.known(first)
        if known is not None and known.result is CallbackResult.INVALID:
            return known
        try:
            delivery = _Delivery(self._own_name, mailboxes, content)
        except ValueError as problem:
            return CallbackOutcome(CallbackResult.UNKNOWN, "address", text=str(problem))
        work = Deferred.fromCoroutine(self._verifier.walk(Talk(first.domain, delivery.open, delivery.judge)))
        work.addTimeout(self._total, self._clock)
        work.addErrback(self._out_of_time, delivery)
        try:
            outcome: CallbackOutcome = await work
        except CancelledError:
            if delivery.was_sent:
                raise
            raise NotSentError from None
        if outcome.stage in {SMTPStage.RCPT, SMTPStage.CONTENT}:
            self._verifier.remember(first, outcome)
        return outcome

    def _out_of_time(self, failure: Failure, delivery: _Delivery) -> CallbackOutcome:
        failure.trap(DeferredTimeout)
        why = f"no answer within {self._total:g} s"
        if delivery.was_sent:
            return delivery.unanswered("", why)
        return CallbackOutcome(CallbackResult.TEMPORARY, "connection", text=why)


def read_or_make_secret(path: Path, random_octets: Callable[[int], bytes]) -> bytes:
    """The secret of a file, which is made if it is not there; only we may read it.

    @raise TemporaryFailure: it cannot be read or made, or is too short.
    """
    try:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            secret = path.read_bytes()
        else:
            secret = random_octets(SECRET_OCTETS)
            with os.fdopen(handle, "wb") as file:
                _write_whole(file, secret, path)
    except OSError as error:
        raise TemporaryFailure(f"the secret {path} cannot be used: {error.strerror}") from error
    if len(secret) < MIN_SECRET:
        raise TemporaryFailure(f"the secret {path} has fewer than {MIN_SECRET} octets; remove it to get a new one")
    return secret


def _write_whole(file: BinaryIO, octets: bytes, path: Path) -> None:
    """All or nothing: what a full disk leaves would be too short for ever.

    @raise OSError: it cannot be written; the file is gone.
    """
    try:
        file.write(octets)
        file.flush()
    except OSError:
        path.unlink()
        raise


@implementer(IAddressSigner)
class FileSigner:
    """Signs with the secret of a file, which is read or made when it is first needed."""

    def __init__(self, path: Path, random_octets: Callable[[int], bytes]) -> None:
        """Nothing is read yet."""
        self._path = path
        self._random_octets = random_octets
        self._signer: HMACSigner | None = None

    def sign(self, address: str, now: float) -> str:
        """A token for an address; see L{IAddressSigner}.

        @raise TemporaryFailure: there is no usable secret.
        """
        return self._loaded().sign(address, now)

    def find(self, text: str, now: float) -> str | None:
        """The address of the first valid token in a text.

        @raise TemporaryFailure: there is no usable secret.
        """
        return self._loaded().find(text, now)

    def _loaded(self) -> HMACSigner:
        if self._signer is None:
            self._signer = HMACSigner(read_or_make_secret(self._path, self._random_octets))
        return self._signer


def make_notices(
    settings: Settings,
    clock: Any,
    verifier: CallbackVerifier,
    *,
    host_name: str,
    state_dir: Path,
    wall: Callable[[], float],
    random_octets: Callable[[int], bytes],
) -> NoticeMeans | None:
    """By what senders are told in this configuration; None if they are not.

    @param host_name: as for the verifier. @param wall: seconds since the epoch.
    """
    if settings.dsn.mode == "off":
        return None
    own_name = own_name_of(settings, host_name)
    return NoticeMeans(
        Notifier(clock, verifier, own_name, total=settings.callback.total_timeout),
        FileSigner(state_dir / SECRET_FILE, random_octets),
        own_name,
        wall,
        lambda: random_octets(10).hex(),
    )
