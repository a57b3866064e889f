"""Tests of authentication results as text (RFC 8601 section 2.2)."""

from __future__ import annotations

from time import process_time

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.authres import AuthResult


def written(value: str) -> str:
    """How a value is written."""
    return str(AuthResult("spf", "pass", (("smtp.mailfrom", value),))).removeprefix("spf=pass smtp.mailfrom=")


class ValueTests(SynchronousTestCase):
    """What is bare, and what is quoted."""

    def test_bare(self) -> None:
        """Tokens, domains and addresses are as they are."""
        for value in (
            "example.com",
            "bob@example.com",
            "a/b+c@example.com",
            "@example.com",
            "192.0.2.1",
            "2001:db8::1",
        ):
            self.assertEqual(written(value), value)

    def test_quoted(self) -> None:
        """All else is a quoted-string, with nothing in it that could end it."""
        for value, text in (
            ("a b@x", '"a b@x"'),
            ("a;b", '"a;b"'),
            ('a"\\', '"a\\"\\\\"'),
            ("a\r\n@x", '"a??@x"'),
            ("a@b@c", '"a@b@c"'),
            ("a@", '"a@"'),
            ("a/b", '"a/b"'),
        ):
            self.assertEqual(written(value), text)

    def test_long_ones(self) -> None:
        """The time goes with the length: a sender may be as long as a frame."""
        started = process_time()
        for end in ("(", "/", "@", "@("):
            self.assertTrue(written("a" * 30_000 + end).startswith('"'))
        self.assertLess(process_time() - started, 0.5)
