"""The numbers of SES signatures."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.ses_numbers import BLOCK, SESNumbers
from twistedmilter.signing.ses import UNIT

NOW = 1_700_000_000.0


class SESNumbersTests(SynchronousTestCase):
    """No number is given twice in one quarter day."""

    def setUp(self) -> None:
        """A place for the file."""
        self.path = Path(self.mktemp())
        self.told: list[str] = []

    def test_from_one(self) -> None:
        """From 1, and from 1 again in the next quarter day."""
        numbers = SESNumbers(self.path, self.told.append)
        self.assertEqual([numbers(NOW), numbers(NOW), numbers(NOW + UNIT), numbers(NOW + UNIT)], [1, 2, 1, 2])

    def test_several_servers(self) -> None:
        """The vector of 3.3: the first two of server 2 among four."""
        numbers = SESNumbers(self.path, self.told.append, servers=4, server=2)
        self.assertEqual([numbers(NOW), numbers(NOW)], [6, 10])

    def test_restart(self) -> None:
        """However often it is started, and whatever the clock does."""
        seen: list[int] = []
        for _ in range(3):
            numbers = SESNumbers(self.path, self.told.append)
            seen += [numbers(NOW) for _ in range(BLOCK + 10)]
            seen.append(numbers(NOW - 10 * UNIT))
        self.assertEqual(len(set(seen)), len(seen))

    def test_broken_file(self) -> None:
        """What is no number is as if there were no file."""
        self.path.write_text("x")
        self.assertEqual(SESNumbers(self.path, self.told.append)(NOW), 1)
        self.assertEqual(self.told, [])

    def test_no_disk(self) -> None:
        """Where nothing can be written numbers are given all the same, and that is told once."""
        numbers = SESNumbers(self.path / "none", self.told.append)
        self.assertEqual([numbers(NOW) for _ in range(2 * BLOCK)], list(range(1, 2 * BLOCK + 1)))
        [told] = self.told
        self.assertIn("may come twice", told)
