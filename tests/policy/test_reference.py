"""Reference ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.policy.reference import ReferenceIds


class ReferenceIdsTests(SynchronousTestCase):
    """Short, unique, sortable."""

    @given(st.lists(st.floats(1.5e9, 4e9), min_size=2, max_size=50))
    def test_each_is_greater_than_the_last(self, times: list[float]) -> None:
        """Whatever the wall clock does, ids are unique and sort in the order they were made."""
        clock = iter(times)
        next_id = ReferenceIds(lambda: next(clock))
        ids = [next_id() for _ in times]
        self.assertEqual(sorted(set(ids)), ids)

    def test_ten_characters_without_lookalikes(self) -> None:
        """An id can be read over the telephone."""
        self.assertRegex(ReferenceIds(lambda: 1_795_525_200.0)(), r"^[0-9a-hjkmnp-tv-z]{10}$")
