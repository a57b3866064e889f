"""What the service asked about senders, in the file."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from tests.store.observation_contract import NOW
from tests.store.test_sqlite import SQLiteTestCase
from twistedmilter.interfaces.reputation import IQuestionStore
from twistedmilter.model.reputation import AskedQuestion, Identity, Vote
from twistedmilter.store import questions as questions_module
from twistedmilter.store.questions import MemoryQuestionStore

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
