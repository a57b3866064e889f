"""What is wrong with a configuration, in words, all of it at once."""

from __future__ import annotations

import sys

from tests.configfile.files import ConfigFileTestCase
from twistedmilter.configfile import load_settings
from twistedmilter.errors import ConfigError

BROKEN = """\
bogus = 1
[resolver]
timeuot = 3
timeout = "5s"
[policy]
mode = "off"
checks = ["spff", 7]
[spf.policy]
fale = "REJECT"
fail = "CBVV"
[milter]
listen = ["inet:8890@192.0.2.1", {address = "inet:1", rol = "inbound"}]
max_frame = 1
"""


class AllAtOnceTests(ConfigFileTestCase):
    """One pass finds everything."""

    def test_every_problem_in_the_order_of_the_file(self) -> None:
        """Each problem is told once, by key, where it stands in the file."""
        wheres = [problem.where for problem in self.error(BROKEN).problems]
        self.assertEqual(
            wheres,
            [
                *("bogus", "resolver.timeuot", "resolver.timeout", "policy.mode", "policy.checks[1]"),
                *("policy.checks[0]", "spf.policy.fale", "spf.policy.fail", "milter.listen[1].rol"),
                *("milter.listen[0]", "milter.max_frame"),
            ],
        )

    def test_a_line_names_file_key_wrong_and_allowed(self) -> None:
        """The text of the error has one whole line for each problem."""
        error = self.error(BROKEN)
        line = str(error).splitlines()[2]
        self.assertEqual(
            line, f'{error.source}: resolver.timeout: is "5s"; allowed: a number above 0 and at most 86_400'
        )


class TypeProblemTests(ConfigFileTestCase):
    """Values of the wrong kind, and keys that are not known."""

    def test_values(self) -> None:
        """What is there and what is allowed are told for each kind of value."""
        for text, expected in {
            "milter = 3": "milter: is 3; allowed: [milter], a table",
            "[rule]\nx = 1": "rule: is a table; allowed: [[rule]], a list, each item a table",
            "[policy]\ndelay_refusals = 1": "policy.delay_refusals: is 1; allowed: true or false",
            "[policy]\nchecks = 'spf'": 'policy.checks: is "spf"; allowed: a list, each item text',
            "[policy]\non_bug = 'refuse'": 'policy.on_bug: is "refuse"; allowed: "skip" or "tempfail"',
            "[resolver]\nin_flight = true": "resolver.in_flight: is true; allowed: a whole number from 1 to 10_000_000",
            "[resolver]\nin_flight = 0": "resolver.in_flight: is 0; allowed: a whole number from 1 to 10_000_000",
            "[resolver]\ntimeout = nan": "resolver.timeout: is NaN; allowed: a number above 0 and at most 86_400",
            "[log]\nto = 1979-05-27": "log.to: is a date or a time; allowed: text",
            "[spf]\npolicy = {fail = 1}": "spf.policy.fail: is 1; allowed: text",
            "[milter]\nlisten = [{address = 'unix:/m', mode = '999'}]": (
                'milter.listen[0].mode: is "999"; allowed: text such as "0660" or "0666"'
            ),
            "[milter]\nlisten = [{role = 'inbound'}]": "milter.listen[0].address: is missing; allowed: text",
        }.items():
            self.assertEqual(self.problem(text), expected)

    def test_unknown_names(self) -> None:
        """An unknown key or section is told with the nearest known one, or where it belongs."""
        for text, expected in {
            "[resolver]\ntimeuot = 1": "resolver.timeuot: unknown key; did you mean timeout?",
            "[resolvr]\ntimeout = 1": "resolvr: unknown section or key; did you mean resolver?",
            "nameservers = []": "nameservers: unknown section or key; it is a key of [resolver]",
            '[log]\n"a b" = 1': 'log."a b": unknown key; known: format, to',
            "[web]\nlisten = []": "web: this version does not have this section yet",
        }.items():
            self.assertEqual(self.problem(text), expected)

    def test_one_wrong_item_does_not_hide_the_others(self) -> None:
        """Items after a wrong one keep their numbers."""
        self.assertEqual(
            [text.partition(":")[0] for text in self.problems("[resolver]\nnameservers = [1, '192.0.2.1', 'x']")],
            ["resolver.nameservers[0]", "resolver.nameservers[2]"],
        )

    def test_a_wrong_table_of_an_array(self) -> None:
        """What is no table is told once, and the tables after it keep their numbers."""
        text = "rule = [1, {name = 'a', mode = 'off', roles = ['x', 'inbound']}]"
        self.assertEqual(
            self.problems(text),
            [
                "rule[0]: is 1; allowed: a table",
                'rule[1].roles[0]: is "x"; allowed: "inbound", "reinjection" or "submission"',
            ],
        )

    def test_the_settings_have_the_last_word(self) -> None:
        """What our own look at a value let pass is still an error if the settings do not take it."""
        self.patch(sys.modules["twistedmilter.configfile.conversion"], "fits", lambda _info, _value: True)
        self.assertIn("Expected `float`", self.problem("[resolver]\ntimeout = 'x'"))


class ListenerProblemTests(ConfigFileTestCase):
    """Listeners that cannot be opened, or must not be."""

    def listen(self, entries: str) -> str:
        """The one thing that is wrong with these entries."""
        return self.problem(f"[milter]\nlisten = [{entries}]")

    def test_not_a_spec(self) -> None:
        """A text that is no address is told with all forms that are."""
        self.assertIn("milter.listen[0]: tcp: is not a kind", self.listen("'tcp:8890'"))
        self.assertIn("inet:port@host", self.listen("'tcp:8890'"))

    def test_open_to_others_without_an_allow_list(self) -> None:
        """Whoever speaks milter to us can claim AUTH, so an open listener needs an allow list; a blank one is none."""
        for address in ("inet:1@0.0.0.0", "inet6:1@::", "inet:1@192.0.2.1", "inet:mail.example.com:1"):
            self.assertIn("open to other hosts", self.listen(f"'{address}'"))
            self.assertIn("open to other hosts", self.listen(f"{{address = '{address}', allow = [' ']}}"))
            self.load(f"[milter]\nlisten = [{{address = '{address}', allow = ['192.0.2.7']}}]")

    def test_allow_list(self) -> None:
        """An allow list has addresses and ranges; on a unix socket it would do nothing."""
        self.assertIn("allow[0]: 'mail.example.com' is a host name", self.listen(self.allow("mail.example.com")))
        self.assertIn("allow[0]: '192.0.2.300' is not", self.listen(self.allow("192.0.2.300")))
        self.assertIn("does not apply to a unix socket", self.listen("{address = '/m', allow = ['::1']}"))

    def allow(self, entry: str) -> str:
        """A listener with one entry in its allow list."""
        return f"{{address = 'inet:1', allow = ['{entry}']}}"

    def test_twice_the_same(self) -> None:
        """Two spellings of one address are one listener; port 0 is another one each time."""
        self.assertEqual(
            self.listen("'inet:8890', 'inet:127.0.0.1:8890'"),
            "milter.listen[1]: inet:8890@127.0.0.1 is milter.listen[0] too",
        )
        self.load("[milter]\nlisten = ['inet:0', 'inet:0', 'inet6:8890', 'inet:8890']")

    def test_sockets_no_mta_can_name(self) -> None:
        """A path at which the MTAs would split their lists is refused, and so is one too long for the kernel."""
        self.assertIn("cannot name", self.listen("'unix:/run/my milter'"))
        self.assertIn("at most 107 octets", self.listen(f"'unix:{'x' * 100}'"))

    def test_control(self) -> None:
        """Control is a unix socket or off."""
        for text in ("inet:1", "nothing", "unix:/a/STATE_DIR/b"):
            self.assertIn("control.listen: ", self.problem(f"[control]\nlisten = '{text}'"))
        for text in ("off", "unix:STATE_DIR/c", "unix:/run/c"):
            self.load(f"[control]\nlisten = '{text}'")


class PolicyProblemTests(ConfigFileTestCase):
    """The chain, its rules and the SPF policy."""

    def test_checks(self) -> None:
        """Names of the chain are known, or module:Class; none stands twice."""
        self.assertEqual(
            self.problem("[policy]\nchecks = ['spff']"), "policy.checks[0]: there is no check 'spff'; did you mean spf?"
        )
        self.assertIn("known: ", self.problem("[policy]\nchecks = ['zzz']"))
        self.assertIn("twice", self.problem("[policy]\nchecks = ['spf', 'spf']"))
        self.assertIn("there is no check", self.problem("[policy]\nchecks = ['a-b:C']"))
        self.load("[policy]\nchecks = ['a.b:C']")

    def test_known_checks_can_be_given(self) -> None:
        """Names that a caller knows are known."""
        path = str(self.write("[policy]\nchecks = ['greeting']"))
        self.assertRaises(ConfigError, load_settings, path)
        load_settings(path, known_checks={"greeting"})

    def test_sections_of_checks(self) -> None:
        """A section of a check that is not in the chain is fine if it is ours; a third party's must be named."""
        self.load("[policy]\nchecks = []\n[spf]\nexplain = false")
        self.assertIn("is not in the chain", self.problem('[check."a:B"]\nx = 1'))
        self.assertIn("allowed: [spf]", self.problem("[check.spf]\nx = 1"))
        chain = "[policy]\nchecks = ['a:B']\n[check.\"a:B\"]\n"
        self.load(chain + "mode = 'observe'\nanything = {a = [1]}")
        self.assertEqual(
            self.problem(chain + "mode = 'on'"),
            'check."a:B".mode: is "on"; allowed: "enforce", "observe" or "off"',
        )

    def test_spf_policy(self) -> None:
        """Keys name a result, words do something that this version can do (seed-spec 3.6)."""
        for entry, reason in {
            "fale = 'OK'": "names no result of SPF; did you mean fail?",
            "'fail:' = 'OK'": "names no domain",
            "'fail:a@' = 'OK'": "names no domain",
            "fail = 'DSN:a b'": "is no policy word",
            "fail = 'ERROR:550 no {such}'": "{such} is no placeholder of ERROR",
            "fail = 'no'": "is no policy word",
            "fail = 'ERROR:no'": "is no reply",
            "fail = 'ERROR:\"550 4.7.1 no\"'": "same digit",
        }.items():
            self.assertIn(reason, self.problem(f"[spf.policy]\n{entry}"))
        for entry in (
            *("pass = 'OK'", "'softfail:example.com' = 'MARK'", "helo-fail = 'HOLD'", "temperror = 'TEMPFAIL'"),
            *(
                "'fail:a@b.example' = 'OK'",
                "spf-fail = 'OK'",
                "fail = 'CBV'",
                "fail = 'DSN:strike3'",
                "fail = 'WHITELIST'",
                "fail = 'BAN'",
                "fail = 'REJECT!'",
            ),
            *("fail = 'ERROR:\"550 5.7.1 no\"'", "fail = 'ERROR:5.7.1:550 no'", "'helo-fail:.example.com' = 'REJECT'"),
        ):
            self.load(f"[spf.policy]\n{entry}")

    def test_three_strikes(self) -> None:
        """Its word does something that this version can do, and its pattern file is read at once."""
        good = self.write("good \\.pool\\.\n", "good.patterns")
        bad = self.write("good \\.pool\\.\nbad (\n", "bad.patterns")
        for entry, reason in {
            "policy = 'no'": "is no policy word",
            f"patterns = '{bad}'": "bad.patterns:2: '(' is no pattern of RE2",
            "patterns = 'none.patterns'": "none.patterns cannot be read",
        }.items():
            self.assertIn(reason, self.problem(f"[three_strikes]\n{entry}"))
        for entry in ("policy = 'HOLD'", "policy = 'DSN'", f"patterns = '{good}'", "mode = 'enforce'"):
            self.load(f"[three_strikes]\n{entry}")

    def test_known_sender(self) -> None:
        """Each of its four lists holds addresses and domains."""
        for name in ("whitelist", "blacklist", "learn_from", "never_learn"):
            problem = self.problem(f"[known_sender]\n{name} = ['a b@c']")
            self.assertIn(f"known_sender.{name}[0]: 'a b@c' is not an address or domain", problem)
            self.load(f"[known_sender]\n{name} = ['a@b.example', '.c.example', '!d@']")

    def test_greylist(self) -> None:
        """It needs strikes to look for, and times at which somebody can come back."""
        on = "[greylist]\nmode = 'enforce'\n"
        strikes = "\n[three_strikes]\nmode = 'observe'"
        off = "\n[three_strikes]\nmode = 'off'"
        self.assertIn("greylist.only_with_strike: finds no strikes; allowed: false, or three", self.problem(on + off))
        order = "\n[policy]\nchecks = ['greylist', 'three_strikes']"
        self.assertIn("greylist.only_with_strike: finds no strikes", self.problem(on + strikes + order))
        late = self.problem("[greylist]\ndelay = 3600.0\nexpire_hours = 1.0")
        self.assertIn("greylist: nobody could come back in time; allowed: delay < expire_hours", late)
        for good in (on + strikes, on + "only_with_strike = false" + off, on + "[policy]\nchecks = []"):
            self.load(good)

    def test_rules(self) -> None:
        """Rules have a name of their own, conditions that parse, checks that exist, and an effect."""
        a = "name = 'a'\nmode = 'off'\n"
        for entry, reason in {
            "name = ' '\nmode = 'off'": "rule[0].name: is empty",
            "name = 'a'": "rule[0]: changes nothing",
            "name = 'a'\nmode = 'on'": 'rule[0].mode: is "on"',
            f"{a}checks = ['sfp']": "rule[0].checks[0]: there is no check 'sfp'; did you mean spf?",
            f"{a}recipients = ['a b@c']": "rule[0].recipients[0]: ",
            f"{a}senders = ['file:missing']": "rule[0].senders[0]: ",
            f"{a}networks = ['mail.example.com']": "rule[0].networks[0]: 'mail.example.com' is a host name",
            f"{a}[[rule]]\n{a}": "rule[1].name: 'a' is the name of rule[0] too",
        }.items():
            self.assertIn(reason, self.problem(f"[[rule]]\n{entry}"))


class OtherProblemTests(ConfigFileTestCase):
    """Networks, name servers, names and logs."""

    def test_networks(self) -> None:
        """Entries that are no networks are named; host names are fine where they can be asked for."""
        self.assertIn("networks.internal[1]: ", self.problem("[networks]\ninternal = ['::1', '192.0.2.0/33']"))
        self.assertIn("networks.trusted_relays[0]: ", self.problem("[networks]\ntrusted_relays = ['a b']"))
        self.load("[networks]\ntrusted_relays = ['mx.example.com', '192.0.2.*', '!192.0.2.1']")

    def test_exceptions_alone_do_not_make_everybody_ours(self) -> None:
        """A list of exceptions only would hold the whole Internet."""
        self.assertIn("networks.internal: holds exceptions only", self.problem("[networks]\ninternal = ['!192.0.2.1']"))

    def test_nameservers(self) -> None:
        """A name server is an address, with a port or without."""
        for good in ("192.0.2.1", "192.0.2.1:5353", "::1", "[::1]", "[::1]:5353"):
            self.load(f"[resolver]\nnameservers = ['{good}']")
        for bad in ("", "dns.example.com", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:", "[::1", "[::1]:x", "1.2.3"):
            self.assertIn("resolver.nameservers[0]", self.problem(f"[resolver]\nnameservers = ['{bad}']"))

    def test_log_destinations(self) -> None:
        """A word that is no destination is not taken for a file name."""
        for good in ("stderr", "journal", "syslog:mail", "syslog:local7", "./mail.log", "/var/log/m"):
            self.load(f"[log]\nto = '{good}'")
        self.assertIn("control characters", self.problem('[log]\nto = "/a\\nb"'))
        for bad, reason in {"sterr": "did you mean stderr?", "syslog:mial": "did you mean mail?", "x": "slash"}.items():
            self.assertIn(reason, self.problem(f"[log]\nto = '{bad}'"))

    def test_state_dir(self) -> None:
        """A directory has no line break in its name."""
        self.assertIn("control characters", self.problem('[server]\nstate_dir = "a\\nb"'))

    def test_authserv_id(self) -> None:
        """Our name in a header field is one word."""
        self.assertIn("server.authserv_id", self.problem("[server]\nauthserv_id = 'mail example'"))
        self.assertIn("server.authserv_id", self.problem('[server]\nauthserv_id = "a\\nX-Evil: 1"'))
