"""Tests of what is removed from and written into the header section (M21, issue item 5)."""

from __future__ import annotations

from time import process_time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import make_connection, make_transaction
from twistedmilter.model.authres import AuthResult
from twistedmilter.model.modification import ChangeHeader, DeleteHeader, InsertHeader
from twistedmilter.model.stage import ClientClass, Role
from twistedmilter.model.verdict import Mark, Reason
from twistedmilter.policy.header_hygiene import MAX_SENTENCE, authserv_id_of, hygiene, marking

OURS = "mail.example.org"
AR = "Authentication-Results"
RECEIVED = ("Received", "from a.example (a.example [192.0.2.1]) by b.example")
EIGHT_FORGED = (
    f"{OURS}; spf=pass smtp.mailfrom=bank.example",
    f" {OURS.upper()}; dkim=pass",
    f"(really) {OURS}; dkim=pass",
    f"(a (nested \\) one))\n\t{OURS} (yes); dkim=pass",
    f'"{OURS}"; dkim=pass',
    '"mail\\.example.org" 1; dkim=pass',
    f"{OURS} 1; none",
    f"{OURS}.; dkim=pass",
)
FOREIGN = (
    "mail.example.net; spf=pass",
    f"x{OURS}; spf=pass",
    f"{OURS}.example.net; spf=pass",
    f"mail.example.net; spf=pass ({OURS})",
    f"({OURS}) mail.example.net; none",
    "",
    ";",
)


def removals(
    headers: list[tuple[str, str]],
    client_class: ClientClass = ClientClass.EXTERNAL,
    *,
    local_filters: bool = False,
    role: Role = Role.INBOUND,
) -> list[tuple[str, int]]:
    """What is removed, as name and occurrence, in the order that it is sent."""
    connection = make_connection(client_class=client_class)
    connection.role = role
    transaction = make_transaction(connection=connection, headers=headers)
    return [(each.name, each.occurrence) for each in hygiene(transaction, OURS, local_filters=local_filters)[0]]


class AuthservIdTests(SynchronousTestCase):
    """Whose field it claims to be."""

    def test_forged(self) -> None:
        """M21: no spelling of our authserv-id is missed."""
        for value in (*EIGHT_FORGED, "mail\0.example.org; none", f"{OURS}/1; none", f"{OURS}", f'"{OURS}'):
            self.assertEqual(authserv_id_of(value), OURS, value)

    def test_foreign(self) -> None:
        """Others' fields are not taken for ours."""
        for value in FOREIGN:
            self.assertNotEqual(authserv_id_of(value), OURS, value)

    def test_idna(self) -> None:
        """M18: U-labels are A-labels."""
        self.assertEqual(authserv_id_of("BÜCHER.example; none"), "xn--bcher-kva.example")

    def test_a_long_one_is_cut(self) -> None:
        """A field as long as a frame costs no more than reading it; padding does not hide our name."""
        for value in (f'"{"ü." * 30_000}"', "ü." * 30_000):
            self.assertLessEqual(len(authserv_id_of(value) or ""), 1024)
        self.assertEqual(authserv_id_of(f'"{" " * 60_000}{OURS}"'), OURS)

    def test_comments_without_end(self) -> None:
        """They take no time to speak of, however many fields of a header section have them, and hide nothing."""
        for value in ("(" * 60_000, "(a" * 30_000, "()" * 30_000 + OURS, "(" + "\\(" * 30_000):
            self.assertIsNone(authserv_id_of(value))
            self.assertEqual(removals([(AR, value)]), [(AR, 1)])
        self.assertEqual(authserv_id_of("\0" * 60_000 + " " * 60_000 + f"(x){OURS}"), OURS)
        started = process_time()
        for _ in range(9):
            authserv_id_of("(a" * 30_000)
            authserv_id_of("\1" * 60_000)
        self.assertLess(process_time() - started, 0.05)

    @given(st.text(alphabet='()"\\ ;/a.\n\0ü'))
    def test_garbage_is_harmless(self, value: str) -> None:
        """Any value has an answer."""
        authserv_id_of(value)


class RemovalTests(SynchronousTestCase):
    """What is removed."""

    def test_eight_forged(self) -> None:
        """M21: all eight go, from the last to the first, whatever the case of the name."""
        names = (AR, AR.lower(), AR.upper(), "authentication-RESULTS", AR, AR, AR, AR)
        self.assertEqual(removals(list(zip(names, EIGHT_FORGED, strict=True))), [(AR, n) for n in range(8, 0, -1)])

    def test_occurrences_count_the_foreign_ones(self) -> None:
        """Foreign fields stay, and are counted."""
        headers = [(AR, FOREIGN[0]), (AR, EIGHT_FORGED[0]), (AR, FOREIGN[1]), ("Subject", "x"), (AR, EIGHT_FORGED[1])]
        self.assertEqual(removals(headers), [(AR, 4), (AR, 2)])

    def test_trace_stays(self) -> None:
        """Issue item 5: foreign Received-SPF is trace, and so are ARC fields."""
        self.assertEqual(removals([("Received-SPF", "pass"), ("ARC-Authentication-Results", f"i=1; {OURS}")]), [])

    def test_gossip_and_marks(self) -> None:
        """Issue item 5: X-GOSSiP and our marks go, unless the client is a trusted relay."""
        headers = [("X-GOSSiP", "1"), ("x-gossip", "2"), ("X-Twistedmilter-Mark", "spf-fail; x")]
        gone = [("X-Twistedmilter-Mark", 1), ("X-GOSSiP", 2), ("X-GOSSiP", 1)]
        for client_class in (ClientClass.EXTERNAL, ClientClass.INTERNAL, ClientClass.AUTHENTICATED):
            self.assertEqual(removals(headers, client_class), gone)
        self.assertEqual(removals(headers, ClientClass.TRUSTED_RELAY), [])

    def test_relay_may_not_claim_to_be_us(self) -> None:
        """RFC 8601 section 5: a relay passes on what it got."""
        self.assertEqual(removals([(AR, EIGHT_FORGED[0])], ClientClass.TRUSTED_RELAY), [(AR, 1)])

    def test_local_filters(self) -> None:
        """local_filters keeps ours where a filter of this host writes: above Received and the author's fields."""
        headers = [
            (AR, EIGHT_FORGED[0]),
            ("DKIM-Signature", "v=1"),
            (AR, EIGHT_FORGED[0]),
            RECEIVED,
            (AR, EIGHT_FORGED[0]),
        ]
        self.assertEqual(removals(headers, local_filters=True), [(AR, 3)])
        self.assertEqual(removals(headers), [(AR, 3), (AR, 2), (AR, 1)])
        self.assertEqual(removals([("From", "a@b"), (AR, EIGHT_FORGED[0])], local_filters=True), [(AR, 1)])

    def test_second_pass(self) -> None:
        """What we wrote before the content filter is not forged when it comes back from our own host."""
        headers = [(AR, EIGHT_FORGED[0]), ("X-Twistedmilter-Mark", "spf-fail; x")]
        self.assertEqual(removals(headers, ClientClass.INTERNAL, role=Role.REINJECTION), [])
        self.assertEqual(len(removals(headers, ClientClass.EXTERNAL, role=Role.REINJECTION)), 2)


class AuthenticationResultsTests(SynchronousTestCase):
    """The field that we write."""

    def test_one_field_at_index_0(self) -> None:
        """Issue item 5: one field, iprev and auth and spf, at index 0."""
        transaction = make_transaction()
        transaction.connection.auth_results.append(AuthResult("iprev", "pass", (("policy.iprev", "192.0.2.9"),)))
        transaction.auth_results.append(AuthResult("spf", "fail", (("smtp.helo", "a.example"),)))
        self.assertEqual(
            hygiene(transaction, OURS, local_filters=False)[1],
            [InsertHeader(0, AR, f"{OURS};\n\tiprev=pass policy.iprev=192.0.2.9;\n\tspf=fail smtp.helo=a.example")],
        )

    def test_nothing_to_tell(self) -> None:
        """Y03: where nothing was evaluated, as with an empty chain, nothing is written."""
        self.assertEqual(hygiene(make_transaction(), OURS, local_filters=False), ([], []))

    @given(st.text(), st.binary())
    def test_hostile_text(self, text: str, octets: bytes) -> None:
        """I8: whatever a client said makes neither an error nor another line."""
        transaction = make_transaction(headers=[(AR, octets.decode("utf-8", "surrogateescape"))])
        transaction.auth_results.append(AuthResult("spf", "fail", (("smtp.helo", text),)))
        (field,) = hygiene(transaction, OURS, local_filters=False)[1]
        self.assertEqual(len(field.value.splitlines()), 2)


class MarkingTests(SynchronousTestCase):
    """Marks as header fields."""

    def mark(self, *marks: Mark, subject: str | None = "hello") -> list[object]:
        """The modifications for these marks."""
        headers = [("Subject", subject)] if subject is not None else []
        return list(marking(make_transaction(headers=headers), marks))

    def test_one_field_each(self) -> None:
        """Each mark has a field that a filter can sort by; the first mark ends up on top."""
        fields = self.mark(Mark(Reason("spf-permerror", "two records")), Mark(Reason("helo-missing", "no HELO")))
        self.assertEqual(
            fields,
            [
                InsertHeader(0, "X-Twistedmilter-Mark", "helo-missing; no HELO"),
                InsertHeader(0, "X-Twistedmilter-Mark", "spf-permerror; two records"),
            ],
        )

    def test_no_marks(self) -> None:
        """Nothing is changed without marks."""
        self.assertEqual(self.mark(), [])

    def test_subject_tag(self) -> None:
        """A tag goes before the subject, each tag once, and not twice on one message."""
        tagged = Mark(Reason("spf-fail", "x"), subject_tag="[FORGED?]")
        self.assertEqual(self.mark(tagged, tagged)[2:], [ChangeHeader("Subject", 1, "[FORGED?] hello")])
        self.assertEqual(self.mark(tagged, subject="[FORGED?] hello")[1:], [])
        self.assertEqual(self.mark(tagged, subject=None)[1:], [InsertHeader(0, "Subject", "[FORGED?]")])
        self.assertEqual(self.mark(tagged, subject="a\0b")[1:], [ChangeHeader("Subject", 1, "[FORGED?] a?b")])
        self.assertEqual(self.mark(tagged, subject="x" * 65_530)[1:], [])

    def test_octets_of_the_subject_survive(self) -> None:
        """A subject that is not UTF-8 keeps its octets."""
        (_, change) = self.mark(Mark(Reason("spf-fail", "x"), subject_tag="[F]"), subject="caf\udce9")
        self.assertEqual(change, ChangeHeader("Subject", 1, "[F] caf\udce9"))

    @given(st.text())
    def test_hostile_sentence(self, text: str) -> None:
        """I8: a mark stays one short line of US-ASCII."""
        (field,) = self.mark(Mark(Reason("spf-fail", text)))
        assert isinstance(field, InsertHeader)
        self.assertTrue(field.value.isascii() and field.value.isprintable())
        self.assertLessEqual(len(field.value), MAX_SENTENCE + len("spf-fail; "))

    def test_removals_are_deletions(self) -> None:
        """What hygiene removes is said in our spelling of the name."""
        transaction = make_transaction(headers=[("x-gossip", "1")])
        self.assertEqual(hygiene(transaction, OURS, local_filters=False)[0], [DeleteHeader("X-GOSSiP", 1)])
