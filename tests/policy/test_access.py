"""Tests of access maps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.policy.access import TAGS, AccessMap, lookup_keys
from twistedmilter.policy.keywords import Keyword, Word

LINES = st.lists(
    st.tuples(st.sampled_from([*sorted(TAGS), "spf-", "dkim-pass", "to"]), st.text(max_size=12), st.text(max_size=12))
)


def parse(text: str) -> AccessMap:
    """The map of a file called C{access}."""
    return AccessMap.parse(text, "access")


class LookupTests(SynchronousTestCase):
    """Which entry decides."""

    def test_order_of_keys(self) -> None:
        """F03: full address, domain, parents with a leading dot, the tag with and without separator."""
        self.assertEqual(
            list(lookup_keys("spf-fail", "Bob@Foo.Baz.com")),
            [
                *("spf-fail:bob@foo.baz.com", "spf-fail:foo.baz.com", "spf-fail:.baz.com", "spf-fail:.com"),
                *("spf-fail:", "spf-fail"),
            ],
        )

    def test_the_most_particular_entry_decides(self) -> None:
        """F03: each kind of key decides when those before it are not there, wherever it stands in the file."""
        keys = ["bob@foo.baz.com", "foo.baz.com", ".baz.com", ""]
        for skipped, key in enumerate(keys):
            lines = [f"spf-softfail:{each} REJECT" for each in reversed(keys[skipped:])]
            found = parse("\n".join(lines)).find("spf-softfail", "bob@foo.baz.com")
            self.assertEqual(found and (found.key, found.line), (f"spf-softfail:{key}", len(lines)))

    def test_the_tag_without_separator_is_last(self) -> None:
        """F03: the bare tag without separator serves when nothing else does."""
        found = parse("spf-none REJECT").find("spf-none", "")
        self.assertEqual(found and found.key, "spf-none")
        found = parse("spf-none REJECT\nspf-none: OK").find("spf-none", "")
        self.assertEqual(found and found.keyword.word, Word.OK)

    def test_a_domain_is_not_its_subdomains(self) -> None:
        """F02: without a leading dot a key is about that domain alone."""
        self.assertIsNone(parse("spf-fail:baz.com OK").find("spf-fail", "bob@foo.baz.com"))

    def test_other_tags_do_not_decide(self) -> None:
        """F04: spf, helo and smtp-auth are kept apart."""
        access = parse("helo-fail:example.com OK\nsmtp-auth:bob@example.com OK")
        self.assertIsNone(access.find("spf-fail", "bob@example.com"))
        self.assertIsNotNone(access.find("helo-fail", "example.com"))
        self.assertIsNotNone(access.find("smtp-auth", "bob@example.com"))

    def test_capitals_do_not_matter(self) -> None:
        """LL-16: both sides are folded, local parts too, and names of either form."""
        access = parse("SPF-Fail:Bob@Example.COM OK\nSMTP-Auth:ANN@BÜCHER.example OK")
        self.assertIsNotNone(access.find("spf-fail", "bOB@eXample.com"))
        self.assertIsNotNone(access.find("smtp-auth", "ann@xn--bcher-kva.example"))

    def test_bang_and_nul_are_read(self) -> None:
        """F05: C{!} may be the separator, and keys and words may end in NUL."""
        found = parse("spf-fail!example.com\0 TEMPFAIL\0").find("spf-fail", "bob@example.com")
        self.assertEqual(found and found.keyword, Keyword(Word.TEMPFAIL))


class WordTests(SynchronousTestCase):
    """What an entry says."""

    def test_words(self) -> None:
        """3.6 and F13: plain words and both spellings of ERROR."""
        for text, keyword in (
            ("ok", Keyword(Word.OK)),
            ("HOLD", Keyword(Word.HOLD)),
            ('ERROR:"551 use <ann@example.com>"', Keyword(Word.ERROR, 551, "5.7.1", "use <ann@example.com>")),
            ("ERROR:4.7.0:450 later", Keyword(Word.ERROR, 450, "4.7.0", "later")),
        ):
            access = parse(f"spf-fail:\t\t{text}")
            self.assertEqual(access.problems, ())
            self.assertEqual(access.entries["spf-fail:"].keyword, keyword)

    def test_strong_reject(self) -> None:
        """F14: C{REJECT!} refuses and overrules whitelists; REJECT does not overrule."""
        access = parse("spf-fail:a.example reject!\nspf-fail:b.example REJECT")
        for domain, overrules in (("a.example", True), ("b.example", False)):
            entry = access.entries[f"spf-fail:{domain}"]
            self.assertEqual((entry.keyword.word, entry.keyword.is_strong), (Word.REJECT, overrules))
        self.assertEqual(access.problems, ())

    def test_a_word_that_cannot_be_read_refuses(self) -> None:
        """LL-09: unknown and missing words are told with their line and act as REJECT."""
        for tag in sorted(TAGS):
            for word in ("ALLOW", "", "CBV!", "DSN:", 'ERROR:"250 ok"'):
                access = parse(f"# ours\n{tag}:example.com {word}")
                self.assertEqual(access.entries[f"{tag}:example.com"].keyword, Keyword(Word.REJECT))
                self.assertIn("access:2: ", str(access.problems[0]))
                self.assertIn("taken as REJECT", access.problems[0].wrong)


class ProblemTests(SynchronousTestCase):
    """What is told of a file."""

    def test_lines_of_sendmail_are_left_alone(self) -> None:
        """A map may be sendmail's own: comments and its tags give neither entries nor problems."""
        self.assertEqual(parse("# spf-fail: OK\n\nConnect:192.0.2.1 RELAY\nexample.com REJECT\n"), AccessMap({}))

    def test_keys_that_are_none(self) -> None:
        """A misspelt result, a tag of DKIM, a name without separator and dots alone are told and left out."""
        for key in ("spf-sfotfail:", "dkim-fail:example.com", "spf-fail4", "spf-fail:.", "smtp-auth:bob@"):
            access = parse(f"{key} OK")
            self.assertEqual((access.entries, len(access.problems)), ({}, 1), key)
            self.assertIn("the line is left out", access.problems[0].wrong)

    def test_the_first_of_two_counts(self) -> None:
        """One key twice is told, in whatever spelling, and the first counts as in makemap."""
        access = parse("spf-fail:example.com OK\nSPF-FAIL!example.com. REJECT")
        self.assertEqual(access.entries["spf-fail:example.com"].keyword.word, Word.OK)
        self.assertEqual([problem.line for problem in access.problems], [2])

    @given(st.text() | LINES.map(lambda lines: "\n".join(f"{tag}:{name} {word}" for tag, name, word in lines)))
    def test_any_text_gives_entries_and_problems(self, text: str) -> None:
        """Whatever a file holds, it gives entries that are found again and problems with lines, nothing else."""
        access = parse(text)
        lines = range(1, text.count("\n") + 2)
        for problem in access.problems:
            self.assertIn(problem.line, lines)
        for key, entry in access.entries.items():
            tag, _, name = key.partition(":")
            self.assertIn(tag, TAGS)
            self.assertIn(entry.line, lines)
            self.assertIn(key, list(lookup_keys(tag, name)) if not name.startswith(".") else [key])
