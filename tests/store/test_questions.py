"""What the service asked about senders, in the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from unittest import mock

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.store.observation_contract import NOW
from tests.store.test_sqlite import SQLiteTestCase
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.reputation import IQuestionStore
from twistedmilter.model.reputation import AskedQuestion, Identity, Vote
from twistedmilter.store import questions as questions_module
from twistedmilter.store.questions import MemoryQuestionStore, SQLiteQuestionStore
from twistedmilter.store.worker import Worker

SPF = Identity("example.com", "SPF")


def asked(umis: str, ends: float = 100.0) -> AskedQuestion:
    """A question that ends so many seconds from now."""
    return AskedQuestion(umis, SPF, NOW + ends)


class QuestionStoreTests(SQLiteTestCase):
    """Questions that outlive the process."""

    async def test_what_was_kept_is_there_again(self) -> None:
        """The newest of each, as long as it has not ended; after closing and opening."""
        stores = await self.open()
        verifyObject(IQuestionStore, stores.questions)
        voted = AskedQuestion("a", SPF, NOW + 100.0, Vote.SPAM, 3, NOW)
        for each in (asked("a"), asked("b"), asked("c", 0.0), voted):
            stores.questions.keep(each)
        await stores.close()
        self.assertEqual(await (await self.open()).questions.questions(NOW), [asked("b"), voted])

    async def test_purging(self) -> None:
        """What has ended goes, and the oldest of too many."""
        self.patch(questions_module, "MOST", 3)
        stores = await self.open()
        stores.questions.keep(asked("ended", -1.0))
        for number in range(6):
            stores.questions.keep(asked(str(number)))
        await stores.purge(NOW)
        self.assertEqual([each.umis for each in await stores.questions.questions(0.0)], ["3", "4", "5"])

    async def test_in_memory_nothing_is_kept(self) -> None:
        """There is no other life."""
        store = MemoryQuestionStore()
        verifyObject(IQuestionStore, store)
        store.keep(asked("a"))
        self.assertEqual(await store.questions(NOW), [])

    def test_those_of_a_moment_together(self) -> None:
        """What comes while some are written is written next; what the store refuses is forgotten."""
        written: list[list[str]] = []
        database = mock.Mock()
        database.executemany = lambda _statement, rows: written.append([row[0] for row in rows])
        trips: list[tuple[Callable[[Any], None], Deferred[None]]] = []

        def run(work: Callable[[Any], None], **_more: bool) -> Deferred[None]:
            trips.append((work, Deferred()))
            return trips[-1][1]

        store = SQLiteQuestionStore(cast(Worker, mock.Mock(run=run)))
        store.keep(asked("a"))
        store.keep(asked("b"))
        trips[0][0](database)
        store.keep(asked("c"))
        trips[0][1].callback(None)
        trips[1][0](database)
        self.assertEqual((written, len(trips)), ([["a", "b"], ["c"]], 2))
        store.keep(asked("d"))
        trips[1][1].errback(TemporaryFailure("full"))
        store.keep(asked("e"))
        trips[2][0](database)
        self.assertEqual(written[2:], [["e"]])
