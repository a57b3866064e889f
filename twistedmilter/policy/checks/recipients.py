"""Recipients that are not there (seed-spec L01, L02, L03, L09, L10, G27)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.callbacks import CallbackResult, ICallbackVerifier
from twistedmilter.interfaces.checks import IRcptCheck, IRunningCheck
from twistedmilter.model.conduct_settings import RecipientsSettings
from twistedmilter.model.transaction import Recipient, Transaction
from twistedmilter.model.verdict import Reason, Refuse, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.user_lists import UserLists

UNKNOWN: Final = "recipient-unknown"
# esmtp-param of RFC 5321 section 4.1.2; its value may hold UTF-8 (RFC 6531 section 3.3)
_PARAMETER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(=[^\x00-\x20=\x7f]+)?")


@implementer(IRcptCheck, IRunningCheck)
@dataclass(frozen=True, eq=False)
class RecipientsCheck:
    """Refuses a recipient whose command cannot be read, who takes no mail, or who does not exist.

    The lists are local and come first; the inner server is asked about what they do not refuse.  When it does not
    answer, nothing is known.  What it said is evidence; the client is not told who said it.  For a test transaction
    nobody is asked: what the inner server said before is all that is known.

    Reason codes: C{recipient-parameters} (L10, 550 5.5.4), C{recipient-takes-no-mail} (L01, 550 5.7.1),
    C{recipient-private} (L09, 550 5.7.1), C{recipient-unknown} (L02, G27, 550 5.1.1).

    @ivar asked: recipients about whom the inner server is asked. @ivar inner: asks it; None: there is none.
    """

    settings: RecipientsSettings
    users: UserLists
    never: AddressSet
    private: AddressSet
    asked: AddressSet
    inner: ICallbackVerifier | None = None
    name: str = "recipients"

    @property
    def local(self) -> bool:
        """Whether no other host is asked."""
        return self.inner is None

    def start(self, reactor: Any) -> None:
        """Follow the files of users."""
        for file in self.users.files:
            file.start(reactor)

    def stop(self) -> None:
        """Follow them no more."""
        for file in self.users.files:
            file.stop()

    def status(self) -> Mapping[str, object]:
        """How many users each file names, or why a newer state of it is not used."""
        return {str(file.paths[0]): file.trouble or f"{len(file.current)} users" for file in self.users.files}

    async def check_rcpt(self, transaction: Transaction, recipient: Recipient) -> Verdict | None:
        """Judge one recipient.

        @raise TemporaryFailure: the inner server does not say now.
        """
        if recipient.refused_by_mta:
            return None
        return self._by_lists(transaction, recipient) or await self._by_asking(transaction, recipient)

    def _by_lists(self, transaction: Transaction, recipient: Recipient) -> Verdict | None:
        mailbox = recipient.mailbox
        wrong = next((each for each in recipient.arguments if _PARAMETER.fullmatch(each) is None), None)
        if wrong is not None:
            text = f"{wrong[:60]!a} is no parameter of RCPT"
            return Refuse(Reason("recipient-parameters", text), 550, "5.5.4")
        if self.never.match(mailbox) is not None:
            return Refuse(Reason("recipient-takes-no-mail", f"{mailbox.canonical} does not take mail"))
        if transaction.connection.is_external and self.private.match(mailbox) is not None:
            return Refuse(Reason("recipient-private", f"{mailbox.canonical} does not take mail from outside"))
        return _unknown(recipient) if self.users.is_unknown(mailbox) else None

    async def _by_asking(self, transaction: Transaction, recipient: Recipient) -> Verdict | None:
        mailbox = recipient.mailbox
        if self.inner is None or self.asked.match(mailbox) is None:
            return None
        is_test = transaction.connection.is_test
        outcome = await (self.inner.known(mailbox) if is_test else self.inner.verify(mailbox))
        if outcome is None:
            transaction.note(self.name, "not_asked", f"{mailbox.canonical}: a test asks nobody")
            return None
        said = f"{mailbox.canonical}: {outcome.result.value}, {outcome.explanation}"
        transaction.note(self.name, "inner_server", f"{said} (remembered)" if outcome.from_cache else said)
        if outcome.result is CallbackResult.INVALID:
            return _unknown(recipient)
        if outcome.result is CallbackResult.VALID:
            return None
        raise TemporaryFailure(f"the inner server does not say whether {mailbox.canonical} exists")


def _unknown(recipient: Recipient) -> Refuse:
    return Refuse(Reason(UNKNOWN, f"{recipient.mailbox.canonical}: there is no such user here"), 550, "5.1.1")
