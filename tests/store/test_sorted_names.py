"""Names in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.store import sorted_names
from twistedmilter.store.sorted_names import SortedNames


class SortedNamesTests(SynchronousTestCase):
    """L{SortedNames}."""

    @given(st.lists(st.text(max_size=3)), st.text(max_size=3))
    def test_order(self, added: list[str], name: str) -> None:
        """Each once, as they are sorted; those after a name, be it there or not."""
        names = SortedNames()
        for each in added:
            names.add(each)
        self.assertEqual(list(names.after(None)), sorted(set(added)))
        self.assertEqual(list(names.after(name)), sorted(each for each in set(added) if each > name))

    def test_tidy(self) -> None:
        """What is of no use goes, a slice at a time; what is added meanwhile stays."""
        self.patch(sorted_names, "SLICE", 3)
        names = SortedNames()
        for each in "acdefghij":
            names.add(each)
        steps = names.tidy("abefgjz".__contains__)
        next(steps)
        self.assertEqual("".join(names.after(None)), "aefghij")
        names.add("b")
        names.add("z")
        for _ in steps:
            pass
        self.assertLessEqual(set("aefgj"), set(names.after(None)))
        for _ in names.tidy("abefgjz".__contains__):
            pass
        self.assertEqual("".join(names.after(None)), "abefgjz")
