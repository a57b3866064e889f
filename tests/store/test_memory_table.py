"""Rows that end, against a plain dictionary that is looked through."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.store import memory_table
from twistedmilter.store.memory_table import ExpiringTable

TIMES = st.integers(0, 400).map(float)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9), TIMES),
        st.tuples(st.just("remove"), st.integers(0, 9), TIMES),
        st.tuples(st.just("purge"), st.just(0), TIMES),
    ),
    max_size=60,
)


class ExpiringTableTests(SynchronousTestCase):
    """L{ExpiringTable}."""

    @given(STEPS)
    def test_it_is_a_dictionary_with_ends(self, steps: list[tuple[str, int, float]]) -> None:
        """Whatever is written, removed and purged in which order; the oldest of more than six goes."""
        table: ExpiringTable[int, str] = ExpiringTable(6)
        plain: dict[int, tuple[str, float]] = {}
        for what, key, time in steps:
            if what == "put":
                table.put(key, f"{key} {time}", time)
                plain.pop(key, None)
                plain[key] = (f"{key} {time}", time)
                if len(plain) > 6:
                    del plain[next(iter(plain))]
            elif what == "remove":
                removed = plain.pop(key, None)
                self.assertEqual(table.remove(key), removed and removed[0])
            else:
                ended = [key for key, (_, ends) in plain.items() if ends <= time]
                self.assertEqual(sum(table.purge(time)), len(ended))
                for each in ended:
                    del plain[each]
            self.assertEqual(list(table.items()), [(key, value) for key, (value, _) in plain.items()])
            self.assertEqual(list(table.newest()), [value for value, _ in reversed(plain.values())])
            self.assertEqual([table.end_of(key) for key in plain], [ends for _, ends in plain.values()])

    def test_written_between_the_steps(self) -> None:
        """What ends later, or was removed, is left alone; what ends earlier than all others is dropped too."""
        self.patch(memory_table, "SLICE", 2)
        table: ExpiringTable[str, int] = ExpiringTable(100)
        for name in "abcdef":
            table.put(name, 1, 100.0)
        steps = table.purge(500.0)
        self.assertEqual(next(steps), 2)
        table.put("c", 2, 900.0)
        table.remove("d")
        table.put("z", 3, 10.0)
        self.assertEqual(sum(steps), 3)
        self.assertEqual(list(table.items()), [("c", 2)])

    def test_an_end_without_end(self) -> None:
        """Infinity is far away."""
        table: ExpiringTable[str, int] = ExpiringTable(1)
        table.put("a", 1, float("inf"))
        self.assertEqual(sum(table.purge(1e10)), 0)
