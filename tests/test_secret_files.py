"""Files of secrets (gossip-srs-dns-spec case 28, reliability S4)."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.secret_files import MAX_SECRETS, SecretFileError, add_secret, parse_secrets, read_secrets
from twistedmilter.signing.keys import KeyRing, Secret

GOOD = b"correct horse battery"
OTHER = b"staple correct horse"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


class ParseTests(SynchronousTestCase):
    """What may stand in one."""

    def test_lines(self) -> None:
        """The newest first; comments and blank lines are none; a blank in a secret is part of it."""
        self.assertEqual(parse_secrets(b"# made by hand\n\n" + GOOD + b"\r\n" + OTHER + b"\n"), KeyRing.of(GOOD, OTHER))

    def test_days(self) -> None:
        """A secret is retired when the one before it was made."""
        text = b"2026-11-24 0123456789abcdef\n2026-01-02 fedcba9876543210\n" + GOOD
        day = datetime(2026, 11, 24, tzinfo=UTC).timestamp()
        older = datetime(2026, 1, 2, tzinfo=UTC).timestamp()
        self.assertEqual(
            parse_secrets(text),
            KeyRing((Secret(b"0123456789abcdef"), Secret(b"fedcba9876543210", day), Secret(GOOD, older))),
        )

    def test_refused(self) -> None:
        """Nothing, the examples of other programs, what is short, quoted, dated wrongly, or too much; never quoted."""
        for text in (
            b"",
            b"# none\n",
            b"shhhh!\n",
            b"x\n",
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
            b'"' + GOOD + b'"\n',
            b"2026-11-31 0123456789abcdef\n",
            GOOD + b"\nshort\n",
            b"\n".join([GOOD] * (MAX_SECRETS + 1)),
        ):
            error = self.assertRaises(SecretFileError, parse_secrets, text)
            self.assertNotIn("correct horse", str(error))

    @given(st.binary(max_size=200))
    def test_garbage(self, octets: bytes) -> None:
        """Any octets are secrets or none, and nothing else happens."""
        try:
            self.assertTrue(parse_secrets(octets).secrets)
        except SecretFileError:
            return


class FileTests(SynchronousTestCase):
    """Who may read it, and how it is made."""

    def setUp(self) -> None:
        """A place for it."""
        self.path = Path(self.mktemp()).absolute()

    def write(self, mode: int) -> None:
        """A file with one secret."""
        self.path.write_bytes(GOOD + b"\n")
        self.path.chmod(mode)

    def test_rights(self) -> None:
        """Ours alone, or with a group that may read it."""
        for mode in (0o600, 0o400, 0o640):
            self.write(mode)
            self.assertEqual(read_secrets(self.path), KeyRing.of(GOOD))
        for mode in (0o644, 0o604, 0o660, 0o666, 0o620, 0o602):
            self.write(mode)
            error = self.assertRaises(SecretFileError, read_secrets, self.path)
            self.assertIn(f"{mode:04o}", str(error))

    def test_no_file(self) -> None:
        """One that is not there is told apart; a directory, a pipe and a huge file are none."""
        self.assertRaises(FileNotFoundError, read_secrets, self.path)
        self.assertRaises(SecretFileError, read_secrets, self.path.parent)
        os.mkfifo(self.path, 0o600)
        self.assertRaises(SecretFileError, read_secrets, self.path)
        self.path.unlink()
        self.write(0o600)
        self.path.write_bytes(b"# x\n" * 20_000)
        self.assertRaises(SecretFileError, read_secrets, self.path)

    def test_new(self) -> None:
        """A new one signs, the one before verifies for a while; rights stay."""
        first = add_secret(self.path, os.urandom, NOW - 86_400)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.path.chmod(0o640)
        second = add_secret(self.path, os.urandom, NOW)
        ring = read_secrets(self.path)
        self.assertEqual([secret.octets for secret in ring.secrets], [second.octets, first.octets])
        self.assertEqual(ring.secrets[1].retired, NOW - NOW % 86_400)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o640)
        self.assertEqual(self.path.read_text().count("# Secrets of"), 1)
        self.assertEqual(len(first.octets), 43)

    def test_what_is_wrong_stays(self) -> None:
        """A file that cannot be used is not written over."""
        self.write(0o644)
        self.assertRaises(SecretFileError, add_secret, self.path, os.urandom, NOW)
        self.assertEqual(self.path.read_bytes(), GOOD + b"\n")
