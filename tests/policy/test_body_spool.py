"""The body's way to disk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.policy.body_spool import BodySpool


class BodySpoolTests(SynchronousTestCase):
    """What was appended comes back, up to the limit."""

    @given(st.lists(st.binary(max_size=200), max_size=20), st.integers(1, 300), st.integers(0, 1000))
    def test_chunking_is_invisible(self, pieces: list[bytes], in_memory: int, limit: int) -> None:
        """The octets come back in order, cut at the limit, in memory or on disk alike, twice."""
        spool = BodySpool(in_memory, limit)
        self.addCleanup(spool.close)
        for piece in pieces:
            spool.append(piece)
        whole = b"".join(pieces)
        self.assertEqual([b"".join(spool.chunks()) for _ in range(2)], [whole[:limit]] * 2)
        self.assertEqual(spool.is_truncated, len(whole) > limit)
