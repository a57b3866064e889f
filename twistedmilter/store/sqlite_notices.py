"""Notifications in the SQLite file; see L{twistedmilter.store.worker} for how it is written."""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection
from typing import Any, Final

from twisted.internet.defer import Deferred
from zope.interface import implementer

from twistedmilter.interfaces.notices import INoticeStore, NoticeState, StoredNotice
from twistedmilter.store.rules import clean, key_of
from twistedmilter.store.worker import Worker

_COLUMNS: Final = "address, template, addressees, content, stored, expires, state, tries, next_try, outcome"
_WITHOUT_CONTENT: Final = _COLUMNS.replace("content", "x''")


@implementer(INoticeStore)
class SQLiteNoticeStore:
    """Notifications by sender, and the last of each template."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def reserve(self, notice: StoredNotice) -> Deferred[bool]:
        """See L{INoticeStore}; where there is little space nothing is sent."""
        address = key_of(notice.address)
        values = (*_row(notice), address, notice.stored)

        def work(connection: Connection) -> bool:
            return (
                connection.execute(
                    f"INSERT OR REPLACE INTO notice ({_COLUMNS}) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"  # noqa: S608 - ours
                    " WHERE NOT EXISTS (SELECT 1 FROM notice WHERE address = ? AND expires > ?)",
                    values,
                ).rowcount
                > 0
            )

        return self._worker.run(work, vital=False)

    def release(self, address: str) -> Deferred[None]:
        """See L{INoticeStore}."""
        return self._write("DELETE FROM notice WHERE address = ?", key_of(address)).addCallback(lambda _: None)

    def done(self, address: str, outcome: str) -> Deferred[None]:
        """See L{INoticeStore}."""
        return self._write(
            "UPDATE notice SET state = 'done', content = x'', outcome = ? WHERE address = ?",
            clean(outcome),
            key_of(address),
        ).addCallback(lambda _: None)

    def defer(self, address: str, next_try: float, outcome: str, most: int) -> Deferred[bool]:
        """See L{INoticeStore}."""
        return self._write(
            "UPDATE notice SET state = 'queued', next_try = ?, outcome = ? WHERE address = ?"
            " AND (SELECT count(*) FROM notice WHERE state = 'queued') < ?",
            next_try,
            clean(outcome),
            key_of(address),
            most,
        ).addCallback(bool)

    def due(self, now: float, most: int) -> Deferred[list[StoredNotice]]:
        """See L{INoticeStore}."""
        return self._read(
            f"SELECT {_COLUMNS} FROM notice WHERE state = 'queued' AND next_try <= ? ORDER BY next_try LIMIT ?",  # noqa: S608
            now,
            most,
        )

    def claim(self, address: str) -> Deferred[bool]:
        """See L{INoticeStore}."""
        return self._write(
            "UPDATE notice SET state = 'sending', tries = tries + 1 WHERE address = ? AND state = 'queued'",
            key_of(address),
        ).addCallback(bool)

    def waiting(self) -> Deferred[list[StoredNotice]]:
        """See L{INoticeStore}."""
        return self._read(f"SELECT {_WITHOUT_CONTENT} FROM notice WHERE state = 'queued' ORDER BY next_try")  # noqa: S608

    def interrupted(self, outcome: str) -> Deferred[int]:
        """See L{INoticeStore}."""
        return self._write(
            "UPDATE notice SET state = 'done', content = x'', outcome = ? WHERE state = 'sending'", outcome
        )

    def keep_last(self, notice: StoredNotice) -> Deferred[None]:
        """See L{INoticeStore}."""
        places = ", ".join("?" * len(_row(notice)))
        statement = f"INSERT OR REPLACE INTO last_notice ({_COLUMNS}) VALUES ({places})"  # noqa: S608
        return self._write(statement, *_row(notice)).addCallback(lambda _: None)

    def last(self, template: str) -> Deferred[StoredNotice | None]:
        """See L{INoticeStore}."""
        found = self._read(f"SELECT {_COLUMNS} FROM last_notice WHERE template = ?", template)  # noqa: S608
        return found.addCallback(lambda notices: notices[0] if notices else None)

    def lasts(self) -> Deferred[list[StoredNotice]]:
        """See L{INoticeStore}."""
        return self._read(f"SELECT {_WITHOUT_CONTENT} FROM last_notice ORDER BY template")  # noqa: S608

    def _write(self, statement: str, *values: Any) -> Deferred[int]:
        """Run one statement, and say how many rows it changed."""
        return self._worker.run(lambda connection: connection.execute(statement, values).rowcount)

    def _read(self, statement: str, *values: Any) -> Deferred[list[StoredNotice]]:
        return self._worker.run(lambda connection: [_notice(row) for row in connection.execute(statement, values)])


def _row(notice: StoredNotice) -> tuple[Any, ...]:
    """In the order of the columns."""
    return (
        key_of(notice.address),
        notice.template,
        "\n".join(map(clean, notice.addressees)),
        notice.content,
        notice.stored,
        notice.expires,
        notice.state.value,
        notice.tries,
        notice.next_try,
        clean(notice.outcome),
    )


def _notice(row: Iterable[Any]) -> StoredNotice:
    address, template, addressees, content, stored, expires, state, tries, next_try, outcome = row
    whom = tuple(addressees.split("\n"))
    return StoredNotice(address, template, whom, content, stored, expires, NoticeState(state), tries, next_try, outcome)
