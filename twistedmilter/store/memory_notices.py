"""Notifications in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from zope.interface import implementer

from twistedmilter.interfaces.notices import INoticeStore, NoticeState, StoredNotice
from twistedmilter.store.memory_table import ExpiringTable
from twistedmilter.store.rules import clean, is_valid, key_of

MAX_TEMPLATES: Final = 100  # whose last is kept
_FOR_GOOD: Final = float("inf")


@implementer(INoticeStore)
class MemoryNoticeStore:
    """Notifications by sender, and the last of each template.

    @param run: does what it is asked, or fails it when the stores are closed.
    """

    def __init__(self, run: Callable[[Callable[[], Any]], Deferred[Any]], limit: int) -> None:
        self._run = run
        self.table: ExpiringTable[str, StoredNotice] = ExpiringTable(limit)
        self._lasts: ExpiringTable[str, StoredNotice] = ExpiringTable(MAX_TEMPLATES)

    def reserve(self, notice: StoredNotice) -> Deferred[bool]:
        """See L{INoticeStore}."""
        new = replace(notice, address=key_of(notice.address))

        def act() -> bool:
            old = self.table.get(new.address)
            if old is not None and is_valid(old.expires, new.stored):
                return False
            self.table.put(new.address, new, new.expires)
            return True

        return self._run(act)

    def release(self, address: str) -> Deferred[None]:
        """See L{INoticeStore}."""

        def act() -> None:
            self.table.remove(key_of(address))

        return self._run(act)

    def done(self, address: str, outcome: str) -> Deferred[None]:
        """See L{INoticeStore}."""

        def act() -> None:
            self._change(address, state=NoticeState.DONE, content=b"", outcome=clean(outcome))

        return self._run(act)

    def defer(self, address: str, next_try: float, outcome: str, most: int) -> Deferred[bool]:
        """See L{INoticeStore}."""

        def act() -> bool:
            if len(self._in_state(NoticeState.QUEUED)) >= most:
                return False
            return self._change(address, state=NoticeState.QUEUED, next_try=next_try, outcome=clean(outcome))

        return self._run(act)

    def due(self, now: float, most: int) -> Deferred[list[StoredNotice]]:
        """See L{INoticeStore}."""
        return self._run(lambda: [each for each in self._in_state(NoticeState.QUEUED) if each.next_try <= now][:most])

    def claim(self, address: str) -> Deferred[bool]:
        """See L{INoticeStore}."""

        def act() -> bool:
            old = self.table.get(key_of(address))
            if old is None or old.state is not NoticeState.QUEUED:
                return False
            return self._change(address, state=NoticeState.SENDING, tries=old.tries + 1)

        return self._run(act)

    def waiting(self) -> Deferred[list[StoredNotice]]:
        """See L{INoticeStore}."""
        return self._run(lambda: [replace(each, content=b"") for each in self._in_state(NoticeState.QUEUED)])

    def interrupted(self, outcome: str) -> Deferred[int]:
        """See L{INoticeStore}."""

        def act() -> int:
            left = self._in_state(NoticeState.SENDING)
            for each in left:
                self._change(each.address, state=NoticeState.DONE, content=b"", outcome=outcome)
            return len(left)

        return self._run(act)

    def keep_last(self, notice: StoredNotice) -> Deferred[None]:
        """See L{INoticeStore}."""
        return self._run(lambda: self._lasts.put(notice.template, notice, _FOR_GOOD))

    def last(self, template: str) -> Deferred[StoredNotice | None]:
        """See L{INoticeStore}."""
        return self._run(lambda: self._lasts.get(template))

    def lasts(self) -> Deferred[list[StoredNotice]]:
        """See L{INoticeStore}."""
        return self._run(lambda: [replace(each, content=b"") for _, each in sorted(self._lasts.items())])

    def _in_state(self, state: NoticeState) -> list[StoredNotice]:
        return sorted((each for _, each in self.table.items() if each.state is state), key=lambda each: each.next_try)

    def _change(self, address: str, **fields: Any) -> bool:
        old = self.table.get(key_of(address))
        if old is None:
            return False
        self.table.put(old.address, replace(old, **fields), old.expires)
        return True
