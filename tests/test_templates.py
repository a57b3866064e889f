"""Tests of the texts of notifications: both forms of files, places, placeholders (G03 to G07, 8.1)."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.templates import MAX_TEXT, NAMES, PLACEHOLDERS, load_templates, parse_template

VALUES = {name: f"<{name}>" for name in PLACEHOLDERS}


class ParseTests(SynchronousTestCase):
    """From a file to a text."""

    def test_older_form(self) -> None:
        """G06: line 1 is one header field, all the rest is the body."""
        text = parse_template("softfail", "Subject: Hello %(sender)s\nThis is\n\nall body: yes\n", "x.txt")
        self.assertEqual((text.subject, text.body), ("Hello %(sender)s", "This is\n\nall body: yes\n"))

    def test_later_form(self) -> None:
        """G06: a header section up to the first empty line; fields that are ours are left out, folds undone."""
        file = "To: %(sender)s\r\nSubject: long\r\n one\r\nReply-To: help@%(receiver)s\r\n\r\nBody\r\n\r\nmore\r\n"
        text = parse_template("fail", file, "x.txt")
        self.assertEqual((text.subject, text.body), ("long one", "Body\n\nmore\n"))
        self.assertEqual(text.fields, (("Reply-To", "help@%(receiver)s"),))

    def test_wrong_files(self) -> None:
        """What is wrong is named with the file, and what would be right."""
        for text, wrong in (
            ("Hello\nyou\n", "x.txt: the first line is no header field"),
            ("To: me\n\nbody\n", "x.txt: there is no Subject field"),
            ("Subject: a\n\n%(helo)s", r"x.txt: the text has the placeholder '%\(helo\)s', which is none; .*heloname"),
            ("Subject: %(sender)d\n\nbody", r"x.txt: Subject has the placeholder '%\(sender\)'"),
            ("Subject: a\nX-Y: %()s\n\nbody", r"x.txt: X-Y has the placeholder '%\(\)s'"),
        ):
            self.assertRaisesRegex(ValueError, wrong, parse_template, "fail", text, "x.txt")

    def test_filled(self) -> None:
        """G07: each placeholder gets its value once; values are not read again; a field stays on one line."""
        text = parse_template("fail", "Subject: %(rcpt)s\n\n%(rcpt)s 100%% of 5 % %(sender)s\n", "x")
        filled = text.filled({**VALUES, "rcpt": "a\n\tb", "sender": "%(rcpt)s"})
        self.assertEqual((filled.subject, filled.body), ("a b", "a\n\tb 100% of 5 % %(rcpt)s\n"))


class PackagedTests(SynchronousTestCase):
    """Our own wording of 8.1."""

    def test_what_each_must_say(self) -> None:
        """8.1: the placeholders and the gist of each text."""
        texts = load_templates()
        self.assertEqual(set(texts), set(NAMES))
        for name, subject, wanted in (
            ("softfail", "forged", "result spf_result"),
            ("fail", "forbids", "sender_domain spf_result"),
            ("neutral", "result", "result spf_result"),
            ("permerror", "Critical error in your SPF", "perm_error"),
            ("strike3", "Critical error in the configuration", "connectip sender sender_domain heloname"),
            ("quarantine", "spam", "spf_result"),
            ("temperror", "Critical error in the DNS", "spf_result"),
            ("heloerror", "HELO", "heloname spf_result"),
        ):
            self.assertIn(subject, texts[name].subject)
            for placeholder in (*wanted.split(), "rcpt", "subject", "receiver"):
                self.assertIn(f"%({placeholder})s", texts[name].body, name)
            for words in ("automatic notice", "only a warning", "no\nneed to send it again", "delayed", "help"):
                self.assertIn(words, texts[name].body, name)

    def test_lines(self) -> None:
        """They can be read on a terminal, and are plain ASCII."""
        for text in load_templates().values():
            self.assertTrue(text.body.isascii())
            self.assertLessEqual(max(map(len, text.body.splitlines())), 78, text.name)


class SiteTests(SynchronousTestCase):
    """A directory of the site."""

    def setUp(self) -> None:
        """An empty directory."""
        self.place = Path(self.mktemp())
        self.place.mkdir()

    def write(self, name: str, text: str) -> None:
        """A file in it."""
        path = self.place / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode("latin-1"))

    def test_overridden(self) -> None:
        """By site, by language and by region; what the site does not have is the packaged one."""
        self.write("fail.txt", "Subject: site\n\nbody")
        self.write("neutral.txt", "Subject: site\n\nbody")
        self.write("de/fail.txt", "Subject: Gr\xfc\xdfe\n\nbody")
        self.write("de-at/softfail.txt", "Subject: Servus\n\nbody")
        texts = load_templates(self.place, "de-at")
        subjects = [texts[name].subject for name in ("fail", "softfail", "neutral", "strike3")]
        self.assertEqual(subjects[:3], ["Gr\xfc\xdfe", "Servus", "site"])
        self.assertIn("Critical", subjects[3])
        self.assertEqual(load_templates(self.place)["fail"].subject, "site")

    def test_missing(self) -> None:
        """G04: an empty file is no text; C{pass} is there only when the site has it (G03)."""
        self.write("fail.txt", "\n")
        self.assertNotIn("fail", load_templates(self.place))
        self.assertNotIn("pass", load_templates(self.place))
        self.write("pass.txt", "Subject: a\n\nb")
        self.assertIn("pass", load_templates(self.place))

    def test_wrong(self) -> None:
        """The key and the file are named."""
        self.write("fail.txt", "Subject: %(who)s\n\nbody")
        self.assertRaisesRegex(
            ValueError, r"dsn.templates: .*/fail.txt: Subject has .*%\(who\)s", load_templates, self.place
        )
        self.write("fail.txt", "Subject: x\n\n" + "y" * MAX_TEXT)
        self.assertRaisesRegex(ValueError, r"dsn.templates: .*/fail.txt is longer", load_templates, self.place)
        self.assertRaisesRegex(ValueError, "dsn.templates: .* no directory", load_templates, self.place / "nowhere")
        self.assertRaisesRegex(ValueError, "dsn.language: .* no directory fr", load_templates, self.place, "fr")
        self.assertRaisesRegex(ValueError, "dsn.language: the packaged texts", load_templates, None, "fr")
        for language in ("..", "de/..", "EN us", "de-"):
            self.assertRaisesRegex(ValueError, "dsn.language: .* pt-br", load_templates, self.place, language)
