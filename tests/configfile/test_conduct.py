"""What is wrong with the sections about conduct, in words that name the key."""

from __future__ import annotations

from tests.configfile.files import ConfigFileTestCase
from twistedmilter.configfile import load_settings

RECIPIENTS = '[recipients]\nmode = "enforce"\n'


class ConductProblemTests(ConfigFileTestCase):
    """[recipients], [demerits] and [outgoing]."""

    def where_and_wrong(self, text: str) -> tuple[str, str]:
        """The one problem of a configuration: its key, and the rest."""
        [problem] = self.error(text).problems
        return problem.where, f"{problem.wrong}; {problem.allowed}"

    def test_problems(self) -> None:
        """Each names its key, and what is allowed where that is not plain."""
        for text, where, words in (
            ('[recipients.users]\n"example.com" = []', 'recipients.users."example.com"', "has no users"),
            ('[recipients.users]\n"*.example" = ["a"]', 'recipients.users."*.example"', "is not a domain"),
            ('[recipients.users]\n"b.example" = ["a@b"]', 'recipients.users."b.example"', "file:PATH"),
            ('[recipients.users]\n"b.example" = ["file:none"]', 'recipients.users."b.example"', "cannot be read"),
            ('[recipients]\nprivate = ["a b@c"]', "recipients.private[0]", "allowed are"),
            ('[recipients]\ndelimiter = "++"', "recipients.delimiter", "text"),
            ('[recipients]\nask = "mail"\nask_domains = ["b.example"]', "recipients.ask", "allowed are ADDRESS"),
            ('[recipients]\nask = "192.0.2.1"', "recipients.ask_domains", "need each other"),
            ('[recipients]\nask_domains = ["b.example"]', "recipients.ask", "need each other"),
            ("[demerits]\nlimit = 0", "demerits.limit", "from 1"),
            ("[demerits]\nban_hours = 0", "demerits.ban_hours", "above 0"),
            ('[outgoing]\nover_limit = "refuse"', "outgoing.over_limit", '"hold" or "tempfail"'),
            ('[outgoing]\nexempt = ["alice"]\nper_user = 0', "outgoing.per_user", "from 1"),
            ('[outgoing]\nexempt = ["@"]', "outgoing.exempt[0]", "allowed are"),
        ):
            found, wrong = self.where_and_wrong(text)
            self.assertEqual(found, where)
            self.assertIn(words, wrong)

    def test_users_in_a_file_beside_the_configuration(self) -> None:
        """A relative path begins where the configuration is."""
        path = self.write(RECIPIENTS + '[recipients.users]\n"b.example" = ["bob", "file:users"]\n')
        path.with_name("users").write_text("anna\n")
        loaded = load_settings(str(path))
        self.assertEqual(loaded.settings.recipients.users, {"b.example": ["bob", "file:users"]})
