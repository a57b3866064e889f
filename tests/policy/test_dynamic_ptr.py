"""Tests of names of lent addresses: every vector of seed-spec 4.3, and what is done differently."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy import dynamic_ptr
from twistedmilter.policy.dynamic_ptr import (
    MAX_FILE,
    MAX_PATTERN,
    DynamicPatterns,
    DynamicPTR,
    Edition,
    judge_ptr,
    load_patterns,
)

# row of seed-spec 4.3, host name, client, and the rule that makes it dynamic: in the seed, in the later version, in
# ours; nothing where it is not dynamic.  Rows 71 and 74 raised there.
VECTORS = (
    (1, "post3.fabulousdealz.com", "69.60.99.112", "", "", ""),
    (2, "adsl-69-208-201-177.dsl.emhril.ameritech.net", "69.208.201.177", "DR4a", "DR4a", "DR4a"),
    (3, "[1.2.3.4]", "1.2.3.4", "DR1", "DR1", "DR1"),
    (4, "c-71-63-151-151.hsd1.mn.comcast.net", "71.63.151.151", "", "DR4a", "DR4a"),
    (5, "wiley-268-8196.roadrunner.nf.net", "205.251.174.46", "DP16", "DP16", "DP16"),
    (6, "cbl-sd-02-79.aster.com.do", "200.88.62.79", "DP11", "DP11", "DP11"),
    (7, "p50863492.dip0.t-ipconnect.de", "80.134.52.146", "DR7", "DR7", "DR7"),
    (8, "foopub", "1.2.3.4", "", "", ""),
    (9, "foobar", "192.168.0.1", "", "", ""),
    (10, "cncln.online.ln.cn", "218.25.240.137", "", "", ""),
    (11, "localhost", "221.132.0.6", "", "", ""),
    (12, "[221.200.41.54]", "221.200.41.54", "DR1", "DR1", "DR1"),
    (13, "cp500627-a.dbsch1.nb.home.nl", "84.27.225.3", "", "", ""),
    (14, "[212.70.52.16]", "212.70.52.16", "DR1", "DR1", "DR1"),
    (15, "p8185-ipad30funabasi.chiba.ocn.ne.jp", "221.184.83.185", "", "", ""),
    (16, "port-219-88-129-82.orcon.net.nz", "219.88.129.82", "DR4a", "DR4a", "DR4a"),
    (17, "wan-vc8f35e.norva3.biz.mindspring.com", "216.135.140.174", "", "", ""),
    (18, "66-44-42-109.s617.apx1.lnhdc.md.dialup.rcn.com", "66.44.42.109", "DP11", "DR4a", "DR4a"),
    (19, "smtp12.pro-send.com", "65.124.197.229", "", "", ""),
    (20, "adsl9.adsl.nextra.hu", "213.134.24.9", "DP17", "DP17", "DP17"),
    (21, "adsl-fnsbnu-055-k.brt.telesc.net.br", "200.180.75.55", "", "", ""),
    (22, "cz-cblk-150-16-32.cyberzone.net", "209.150.16.32", "DR4a", "DR4a", "DR4a"),
    (23, "mail.indexas.no", "195.70.182.114", "", "", ""),
    (24, "varna148.pip.digsys.bg", "193.68.1.148", "", "", ""),
    (25, "smtp01.mrf.mail.rcn.net", "207.172.4.60", "", "", ""),
    (26, "bmsweb.bmsi.com", "219.109.11.130", "", "", ""),
    (27, "dns.intervip.psi.br", "200.215.126.2", "", "", ""),
    (28, "pc147.windowsshop.com", "192.168.100.147", "", "", ""),
    (29, "104.129.17.29.static.quadranet.com", "104.129.17.29", "DR2", "DR2", "DR2"),
    (30, "testDefang2", "1.2.3.4", "", "", ""),
    (31, "pro-send.com", "1.2.3.4", "", "", ""),
    (32, "mail.example.com", "192.0.2.1", "", "", ""),
    (33, "h00045a8b1c2d.ne.client2.attbi.com", "24.60.1.200", "DP1", "DP1", "DP1"),
    (34, "h00045a8b1c2d.ne.client2.attbi.com", "24.60.1.2", "", "", "DP1"),
    (35, "h56n2c1o1095.bredband.skanova.com", "213.66.1.200", "DP2", "DP2", "DP2"),
    (36, "h56n2c1o1095.bredband.skanova.com", "213.66.1.2", "", "", "DP2"),
    (37, "pcp08263211pcs.nrockv01.md.comcast.net", "69.140.1.200", "DP3", "DP3", "DP3"),
    (38, "no-reverse-dns.example.com", "10.1.2.3", "DP4", "DP4", "DP4"),
    (39, "S0106000c41234567.vc.shawcable.net", "24.80.1.200", "DP5", "DP5", "DP5"),
    (40, "user77.example.net", "203.0.113.77", "DP6", "DP6", "DP6"),
    (41, "user78.example.net", "203.0.113.77", "", "", ""),
    (42, "Cust77.example.net", "203.0.113.77", "DP7", "DP7", "DP7"),
    (43, "CUST77.example.net", "203.0.113.77", "", "", ""),
    (44, "077.example.net", "203.0.113.77", "DP8", "DP8", "DP8"),
    (45, "pppoe-x77.example.net", "203.0.113.77", "DP9", "DP9", "DP9"),
    (46, "pppoe99.example.net", "203.0.113.77", "", "", ""),
    (47, "dialin-ppp12.example.net", "203.0.113.77", "DP10", "DP10", "DP10"),
    (48, "mail-77.example.com", "203.0.113.77", "DP11", "DP11", "DP11"),
    (49, "a27-28.smtp-out.us-west-2.amazonses.com", "54.240.27.28", "DP11", "DP11", "DP11"),
    (50, "p77.pool1.example.net", "203.0.113.77", "DP13", "DP13", "DP13"),
    (51, "h77.example.net", "203.0.113.77", "DP14", "DP14", "DP14"),
    (52, "xdsl-1234.netcologne.de", "203.0.113.77", "DP15", "DP15", "DP15"),
    (53, "dyn-12-99.example.net", "203.0.113.77", "DP16", "DP16", "DP16"),
    (54, "smtp-out-12.example.com", "203.0.113.77", "", "", ""),
    (55, "alice.adsl.example.net", "203.0.113.77", "DP17", "DP17", "DP17"),
    (56, "adsl.example.net", "203.0.113.77", "", "", ""),
    (57, "bob.dsl.example.net", "203.0.113.77", "", "", ""),
    (58, "bob.cable.example.net", "203.0.113.77", "DP18", "DP18", "DP18"),
    (59, "host-77-113-0-203.example.net", "203.0.113.77", "DR4d", "DR4d", "DR4d"),
    (60, "host113-77.example.net", "203.0.113.77", "DR4c", "DR4c", "DR4c"),
    (61, "host77-113.example.net", "203.0.113.77", "DR4e", "DR4e", "DR4e"),
    (62, "x77-113y55.example.net", "203.0.113.77", "DR4f", "DR4f", "DR4f"),
    (63, "host77-203-0.example.net", "203.0.113.77", "DR4b", "DR4b", "DR4b"),
    (64, "host203-0-113.example.net", "203.0.113.77", "DR4a", "DR4a", "DR4a"),
    (65, "x2030113y.example.net", "203.0.113.77", "DR6", "DR6", "DR6"),
    (66, "CB00714D.ipt.example.net", "203.0.113.77", "DR7", "DR7", "DR7"),
    (67, "mx4.x0.y113.z77.q9.example", "203.0.113.77", "", "DR4a", "DR4a"),
    (68, "mail77.example.com", "203.0.113.77", "", "", ""),
    (69, "mail-wr1-f41.google.com", "209.85.221.41", "", "", ""),
    (70, "static-203-0-113-77.example.net", "203.0.113.77", "DR4a", "DR4a", "DR4a"),
    (71, "host.example.com", "2001:db8::1", "", "", ""),
    (72, "[IPv6:2001:db8::1]", "2001:db8::1", "DR1", "DR1", "DR1"),
    (73, "adsl-1-2-3-4.example.net", "", "", "", ""),
    (74, "localhost", "/", "", "", ""),
)
PATTERNS = load_patterns()


def client(text: str) -> IPAddress | None:
    """The address as a connection has it; a unix peer has none (LL-17)."""
    try:
        return ip_address(text)
    except ValueError:
        return None


class VectorTests(SynchronousTestCase):
    """The table of seed-spec 4.3."""

    def assertColumn(self, edition: Edition, column: int) -> None:
        """Every row is judged as that column says."""
        for row in VECTORS:
            judged = judge_ptr(row[1], client(row[2]), PATTERNS, edition)
            rule = str(row[column])
            self.assertEqual(judged, DynamicPTR(bool(rule), rule), f"row {row[0]}: {row[1]} {row[2]}")

    def test_all_rows_are_here(self) -> None:
        """Rows 1 to 74, each once."""
        self.assertEqual([row[0] for row in VECTORS], list(range(1, 75)))

    def test_seed(self) -> None:
        """All 74 rows as pymilter 0.8.5 had them."""
        self.assertColumn(Edition.SEED, 3)

    def test_later(self) -> None:
        """All 74 rows as the later version had them."""
        self.assertColumn(Edition.LATER, 4)

    def test_own(self) -> None:
        """All 74 rows by our own rules: rows 34 and 36 are found in spite of the mark."""
        self.assertColumn(Edition.OWN, 5)


class OwnRulesTests(SynchronousTestCase):
    """What differs from the ancestor, and what must never fail."""

    def assertJudged(self, name: str, ip: str, rule: str, edition: Edition = Edition.OWN) -> None:
        """The name is dynamic by this rule; by none if that is empty."""
        self.assertEqual(judge_ptr(name, client(ip), PATTERNS, edition), DynamicPTR(bool(rule), rule), name)

    def test_address_within_longer_numbers(self) -> None:
        """DR2: 1.2.3.4 is not in 11.2.3.45; the ancestor thought so."""
        self.assertJudged("a11.2.3.45.example", "1.2.3.4", "DR2", Edition.LATER)
        self.assertJudged("a11.2.3.45.example", "1.2.3.4", "")
        self.assertJudged("a1.2.3.4.example", "1.2.3.4", "DR2")
        self.assertJudged("11.2.3.4.1.2.3.4.example", "1.2.3.4", "DR2")
        self.assertJudged("1.2.3.4", "1.2.3.4", "DR2")

    def test_no_name(self) -> None:
        """DR1: an MTA says unknown, nothing, or the address in brackets when there is no PTR record."""
        for name in ("unknown", "UNKNOWN", "", " ", ".", "[192.0.2.1]"):
            self.assertJudged(name, "192.0.2.1", "DR1")

    def test_no_address(self) -> None:
        """LL-17: without an address only the brackets tell; rows 73 and 74, and no error."""
        for edition in Edition:
            for name in ("", "unknown", "localhost", "adsl-1-2-3-4.example.net"):
                self.assertJudged(name, "", "", edition)
            self.assertJudged("[1.2.3.4]", "", "DR1", edition)

    def test_mapped_address(self) -> None:
        """An IPv4-mapped address is the IPv4 address (RFC 4291)."""
        self.assertJudged("user77.example.net", "::ffff:203.0.113.77", "DP6")

    def test_trailing_dot(self) -> None:
        """The root's dot is not a part of the name."""
        self.assertJudged("mail77.example.com.", "203.0.113.77", "")
        self.assertJudged("host113-77.example.net.", "203.0.113.77", "DR4c")

    @given(st.text(max_size=300), st.none() | st.ip_addresses(), st.sampled_from(Edition))
    def test_never_fails(self, name: str, ip: IPAddress | None, edition: Edition) -> None:
        """Names are hostile: not ASCII, control characters, lone surrogates, any length."""
        judged = judge_ptr(name + "\udc80\x00\N{SECTION SIGN}", ip, PATTERNS, edition)
        self.assertEqual(judged.is_dynamic, bool(judged.rule))

    def test_mark_cannot_be_forged(self) -> None:
        """A name with the mark itself in it is not taken for one with the last octet."""
        self.assertJudged("user\N{SECTION SIGN}.example.net", "203.0.113.77", "")


class PatternFileTests(SynchronousTestCase):
    """What an administrator adds."""

    def extra(self, content: str | bytes) -> Path:
        """A file with that content."""
        path = Path(self.mktemp())
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def assertProblem(self, content: str | bytes, *words: str) -> None:
        """The file is refused, and the error says all of this after its name."""
        path = self.extra(content)
        error = self.assertRaises(ValueError, load_patterns, path)
        for word in (str(path), *words):
            self.assertIn(word, str(error))

    def test_added_patterns(self) -> None:
        """They come after the packaged ones, which stay."""
        patterns = load_patterns(self.extra("# ours\n\npool (?i)\\.pool\\d*\\.\nlast ^client<o4>-\n"))
        ip = ip_address("203.0.113.77")
        for name, rule in (
            ("a.POOL3.example", "pool"),
            ("client77-x.example", "last"),
            ("client78-x.example", ""),
            ("user77.pool.example", "DP6"),
        ):
            self.assertEqual(judge_ptr(name, ip, patterns), DynamicPTR(bool(rule), rule))

    def test_exceptions(self) -> None:
        """Rows 29 and 49: ! makes names that are never dynamic, and says which exception it was."""
        lines = "!static (^|[.-])static[.-]\n!ses \\.smtp-out\\.[a-z0-9-]+\\.amazonses\\.com$\n"
        patterns = load_patterns(self.extra(lines))
        for row, name in ((29, "static"), (49, "ses"), (70, "static")):
            vector = VECTORS[row - 1]
            self.assertEqual(judge_ptr(vector[1], client(vector[2]), patterns), DynamicPTR(False, name))
        self.assertTrue(judge_ptr("[192.0.2.1]", client("192.0.2.1"), patterns).is_dynamic)
        self.assertTrue(judge_ptr("mail-77.example.com", client("203.0.113.77"), patterns).is_dynamic)

    def test_problems_name_file_and_line(self) -> None:
        """Whatever is wrong is told with the place, and nothing is half used."""
        self.assertProblem("good x\nbad (\n", ":2:", "missing )")
        self.assertProblem("# comment\n\nonly-a-name\n", ":3:", "NAME PATTERN")
        self.assertProblem("a b c\n", ":1:", "NAME PATTERN")
        self.assertProblem("back (a)\\1\n", ":1:", "is no pattern")
        self.assertProblem(f"long {'x' * (MAX_PATTERN + 1)}\n", ":1:", str(MAX_PATTERN))
        self.assertProblem(b"fine x\nodd \xff\n", ":2:", "UTF-8")

    def test_pattern_that_is_in_every_name(self) -> None:
        """LL-10: a slip of the pen must not make the whole world dynamic."""
        for pattern in (".*", "a?", "(|x)", "<o4>*"):
            self.assertProblem(f"all {pattern}\n", ":1:", "every name")

    def test_file_that_cannot_be_read(self) -> None:
        """A missing file or a directory is a problem, not an empty list."""
        self.assertRaises(ValueError, load_patterns, Path(self.mktemp()))
        directory = Path(self.mktemp())
        directory.mkdir()
        self.assertRaises(ValueError, load_patterns, directory)

    def test_limits(self) -> None:
        """Size and number are bounded."""
        self.assertProblem(b"#" * (MAX_FILE + 1), str(MAX_FILE))
        self.patch(dynamic_ptr, "MAX_PATTERNS", 20)
        self.assertProblem("a x\nb y\nc z\n", ":3:", "more than 20")

    def test_no_patterns(self) -> None:
        """Without any pattern the rules on numbers still hold."""
        nothing = DynamicPatterns.parse([])
        self.assertEqual(judge_ptr("user77.example.net", client("203.0.113.77"), nothing), DynamicPTR(False))
        self.assertEqual(judge_ptr("host113-77.example", client("203.0.113.77"), nothing), DynamicPTR(True, "DR4c"))
