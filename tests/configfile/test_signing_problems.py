"""What is wrong with the sections about signed senders, in words that name the key."""

from __future__ import annotations

from tests.configfile.files import ConfigFileTestCase


class SigningProblemTests(ConfigFileTestCase):
    """[srs], [ses], [batv] and [socketmap]."""

    def where_and_wrong(self, text: str) -> tuple[str, str]:
        """The one problem of a configuration: its key, and the rest."""
        [problem] = self.error(text).problems
        return problem.where, f"{problem.wrong}; {problem.allowed}"

    def test_problems(self) -> None:
        """Each names its key, and what is allowed where that is not plain."""
        for text, where, words in (
            ('[srs]\nforward_domain = "Fwd.example"', "srs.forward_domain", "no domain"),
            ('[srs]\nsign_domains = ["a.example", "b."]', "srs.sign_domains[1]", "no dot at the end"),
            ('[srs]\nexempt_hosts = ["a b"]', "srs.exempt_hosts[0]", "no domain"),
            ('[srs]\nlocal_domains = ["a b@"]', "srs.local_domains[0]", "allowed are"),
            ("[srs]\nhash_length = 3", "srs.hash_length", "from 4 to 24"),
            ("[srs]\nhash_minimum = 3", "srs.hash_minimum", "4 to hash_length"),
            ("[srs]\nhash_minimum = 9", "srs.hash_minimum", "4 to hash_length"),
            ('[srs]\nlegacy_until = "2027-02-30"', "srs.legacy_until", "no day"),
            ('[srs]\nseparator = "_"', "srs.separator", '"="'),
            ("[ses]\nservers = 2\nserver = 2", "ses.server", "no server 2"),
            ('[ses.fixed]\n"news" = 1', "ses.fixed.news", "user@domain"),
            ('[ses.fixed]\n"n@a.example" = 1', 'ses.fixed."n@a.example"', "not in ses.domains"),
            ('[ses]\ndomains = ["a.example"]\n[ses.fixed]\n"n@a.example" = 0', 'ses.fixed."n@a.example"', "1 to"),
            (
                '[ses]\ndomains = ["a.example"]\n[ses.fixed]\n"m@a.example" = 1\n"n@a.example" = 1',
                'ses.fixed."n@a.example"',
                "of m@a.example too",
            ),
            ('[batv]\ndomains = ["a.example"]', "batv.signing_key", "no key 0"),
            ('[batv.key_files]\n"10" = "x"', "batv.key_files.10", "0 to 9"),
            ('[ses]\ndomains = ["a.example"]\n[srs]\nsign_domains = ["a.example"]', "srs.sign_domains[0]", "too"),
            ('[bounce]\nexempt = ["192.0.2.0/33"]', "bounce.exempt[0]", "192.0.2.0/33"),
            ('[bounce]\nexempt = ["mail.example.com"]', "bounce.exempt[0]", "host name"),
            ('[bounce]\nmode = "observe"\nrequire_signature = true', "bounce.require_signature", "ses.domains"),
            ('[socketmap]\nlisten = ["nowhere"]', "socketmap.listen[0]", "no listening address"),
            ('[socketmap]\nlisten = ["inet:1@192.0.2.1"]', "socketmap.listen[0]", "anywhere = true"),
            ('[socketmap]\nlisten = [{address = "inet:1", users = ["a"]}]', "socketmap.listen[0].users", "unix"),
            ('[socketmap]\nlisten = ["/a/b", "unix:/a/b"]', "socketmap.listen[1]", "listen[0] too"),
        ):
            found, wrong = self.where_and_wrong(text)
            self.assertEqual(found, where)
            self.assertIn(words, wrong)

    def test_allowed(self) -> None:
        """What the manual shows, and TCP for others if it is asked for."""
        for text in (
            '[socketmap]\nlisten = ["unix:/run/x", "inet:10003@127.0.0.1"]',
            '[socketmap]\nlisten = [{address = "inet:1@0.0.0.0", anywhere = true}]',
            '[socketmap]\nlisten = [{address = "inet:1", protocol = "tcp_table", map = "reverse"}]',
            '[srs]\nlegacy_until = "2027-01-31"',
        ):
            self.load(text)
