"""What the service says to other mail servers on its own account: callbacks, notifications, questions behind us.

The modules that do it are imported when the configuration wants them: nothing of it is on in the stock one, and
loading them takes a good part of the time until the service listens.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from twistedmilter.interfaces.dns import IResolver
from twistedmilter.interfaces.stores import IStores
from twistedmilter.model.settings import Settings
from twistedmilter.policy.acting import Means

if TYPE_CHECKING:
    from twistedmilter.callback import CallbackVerifier
    from twistedmilter.dsn_queue import NoticeQueue
    from twistedmilter.policy.checks.dsn import NoticeMeans


class Outbound:
    """The verifiers and the notifier of one configuration.

    @ivar callbacks: asks the exchangers of senders; None: nobody may be asked.
    @ivar inner: asks the server behind us about recipients; None: there is none.
    @ivar notices: by what senders are told; None: they are not.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        resolver: IResolver,
        stores: IStores,
        *,
        state_dir: Path,
        wall: Callable[[], float],
        host_name: str = "",
        chance: Callable[[], float] | None = None,
        random_octets: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Ready; nothing is opened before somebody is to be asked or told.

        @param state_dir: where the secret of notifications is. @param wall: seconds since the epoch.
        @param host_name: for EHLO where the configuration has no name for us; empty: this host's.
        @param chance: numbers between 0 and 1, to order exchangers of equal preference.
        """
        self._settings = settings
        self._reactor = reactor
        self._resolver = resolver
        self._stores = stores
        self._wall = wall
        self._host_name = host_name or os.uname().nodename
        self._chance = chance or secrets.SystemRandom().random
        means = Means.of(settings)
        self.callbacks = self._verifier() if means.callback or means.dsn else None
        self.inner = self._inner_verifier() if settings.recipients.ask else None
        self.notices = self._notices(state_dir, random_octets) if means.dsn else None
        self._queue = self._notice_queue(self.notices) if self.notices is not None else None

    def _verifier(self) -> CallbackVerifier:
        from twistedmilter.callback import make_verifier
        from twistedmilter.own_addresses import OwnAddresses

        return make_verifier(
            self._settings,
            self._reactor,
            self._resolver,
            self._host_name,
            chance=self._chance,
            own_addresses=OwnAddresses(self._reactor.seconds),
            store=self._stores.callbacks,
            wall=self._wall,
        )

    def _inner_verifier(self) -> CallbackVerifier | None:
        from twistedmilter.inner_server import make_inner_verifier

        return make_inner_verifier(self._settings, self._reactor, self._host_name)

    def _notices(self, state_dir: Path, random_octets: Callable[[int], bytes]) -> NoticeMeans | None:
        from twistedmilter.dsn import make_notices

        assert self.callbacks is not None
        return make_notices(
            self._settings,
            self._reactor,
            self.callbacks,
            host_name=self._host_name,
            state_dir=state_dir,
            wall=self._wall,
            random_octets=random_octets,
        )

    def _notice_queue(self, means: NoticeMeans) -> NoticeQueue | None:
        """What tries again; None where the configuration only observes."""
        from twistedmilter.dsn_queue import NoticeQueue
        from twistedmilter.policy.notice_delivery import NoticeDelivery

        section = self._settings.dsn
        if section.mode != "enforce" or self._settings.policy.mode == "observe":
            return None
        delivery = NoticeDelivery(section, self._stores.notices, means.notifier, self._wall)
        return NoticeQueue(delivery, self._reactor)

    def start(self) -> None:
        """Try again what is to be sent; the stores are open."""
        if self._queue is not None:
            self._queue.start()

    def stop(self) -> None:
        """Give up everything under way; those who wait are told so."""
        if self._queue is not None:
            self._queue.stop()
        for verifier in filter(None, (self.callbacks, self.inner)):
            Deferred.fromCoroutine(verifier.stop())

    def snapshot(self) -> Mapping[str, object]:
        """What C{twistedmilter status} shows of it."""
        shown: dict[str, object] = {}
        if self.callbacks is not None:
            shown["callbacks"] = self.callbacks.snapshot()
        if self._queue is not None:
            shown["notifications_waiting"] = self._queue.waiting
        return shown
