"""Tests of SES (gossip-srs-dns-spec 3, abuse case 25)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.durations import DAY
from twistedmilter.signing import base38
from twistedmilter.signing.addresses import Unsignable
from twistedmilter.signing.keys import KeyRing, Secret
from twistedmilter.signing.ses import SES, UNIT
from twistedmilter.signing.verification import Fault, InvalidSignature

NOW = 1_700_000_000.0  # quarter day 78703


def ses(*secrets: bytes, days: int = 10, fixed: tuple[str, ...] = ()) -> SES:
    """With the secret of 3.3."""
    return SES(keys=KeyRing.of(*(secrets or (b"shhh!",))), days=days, fixed_senders=frozenset(fixed))


class Base38Tests(SynchronousTestCase):
    """Numbers as text."""

    def test_vectors(self) -> None:
        """Those of 3.3, both ways."""
        for number, text in (
            (1, "B"),
            (37, "-"),
            (38, "BA"),
            (1234, "6S"),
            (123738493059846347859040389523479, "DFLF0TG10EQEG32G2XZ5R"),
        ):
            self.assertEqual(base38.encode(number), text)
            self.assertEqual(base38.decode(text.lower()), number)
        self.assertEqual(base38.encode(0), "")

    def test_one_spelling(self) -> None:
        """Neither other characters nor leading zeros are read."""
        for text in ("A", "AB", "B!", "B B", "\u017f", "\u00df"):
            self.assertRaises(ValueError, base38.decode, text)

    @given(st.integers(0, 2**130))
    def test_round_trip(self, number: int) -> None:
        """Any number comes back."""
        self.assertEqual(base38.decode(base38.encode(number)), number)


class VectorTests(SynchronousTestCase):
    """The vectors of 3.3; interoperable where the user is in lower case."""

    def test_modulus(self) -> None:
        """The bits of the time follow from the days (3.1)."""
        for days, modulus in ((1, 15), (3, 31), (7, 63), (14, 63), (15, 127), (30, 127), (31, 255)):
            self.assertEqual(ses(days=days).modulus, modulus)

    def test_variable(self) -> None:
        """Three numbers of one quarter day."""
        for number, signature in ((1, "FE68Q8Y4XOT6ZW5XZ"), (2, "JIABNWKFAAU894C4P"), (3, "NL3-PFFM4HMQBRPXM")):
            signed = f"SES={signature}=mickey@Mouse.com"
            self.assertEqual(ses().sign("mickey@Mouse.com", number, NOW), signed)
            verified = ses().verify(signed, NOW)
            self.assertEqual(
                (verified.address, verified.timecode, verified.message_id), ("mickey@Mouse.com", 78703, number)
            )
            self.assertEqual(verified.expires, 78703 * UNIT + 10 * DAY)

    def test_second_set(self) -> None:
        """Another secret; the signature depends on the days."""
        for days, first, second, fixed in (
            (8, "FE5T5TMVNR-22CC2N", "JIAL5LXCX_RD7DRME", "62G4PWAP0BHMLTRVR"),
            (10, "FE5T5TMVNR-22CC2N", "JIAL5LXCX_RD7DRME", "62G4PWAP0BHMLTRVR"),
            (21, "N_HW20WDV42X1E-MB", "WE80A25TVLCYCAAG_", "B1SRGVZ31OACX_GV81"),
        ):
            signer = ses(b"shhhh!", days=days)
            self.assertEqual(signer.sign("alice@orig.example", 1, NOW), f"SES={first}=alice@orig.example")
            self.assertEqual(signer.sign("alice@orig.example", 2, NOW), f"SES={second}=alice@orig.example")
            self.assertEqual(signer.sign_fixed("alice@orig.example", 7), f"SES={fixed}=alice@orig.example")

    def test_any_case(self) -> None:
        """[NEW] The user is folded, as who asks the DNS folds it."""
        signed = ses().sign("Mickey@Mouse.com", 1, NOW)
        self.assertEqual(signed, "SES=FE68Q8Y4XOT6ZW5XZ=Mickey@Mouse.com")
        for text in (signed, signed.lower(), signed.upper()):
            self.assertEqual(ses().verify(text, NOW).message_id, 1)

    def test_rotation(self) -> None:
        """A new secret signs, the old one verifies."""
        both = ses(b"new", b"shhh!")
        self.assertEqual(both.sign("mickey@Mouse.com", 1, NOW), "SES=FG50DH9TLQBGUN5JX=mickey@Mouse.com")
        old = both.verify("SES=FE68Q8Y4XOT6ZW5XZ=mickey@Mouse.com", NOW)
        self.assertEqual(old.secret, Secret(b"shhh!"))

    def test_several_servers(self) -> None:
        """The sixth number is the first of server 2 among four."""
        self.assertEqual(ses().sign("mickey@Mouse.com", 6, NOW), "SES=ZWGWINGD0-W8SP-HK=mickey@Mouse.com")

    def test_expiry(self) -> None:
        """Forty quarter days, from the one in which it was signed."""
        signed = "SES=FE68Q8Y4XOT6ZW5XZ=mickey@Mouse.com"
        for age in (0, 1, 39):
            self.assertEqual(ses().verify(signed, NOW + age * UNIT).address, "mickey@Mouse.com")
        # from 63 on the time code comes again; the hash, which is over the whole time, does not
        for age in (-1, 40, 41, 62, 63, 64, 126):
            self.assertRaises(InvalidSignature, ses().verify, signed, NOW + age * UNIT)
        fault = self.assertRaises(InvalidSignature, ses().verify, signed, NOW + 40 * UNIT).fault
        self.assertEqual(fault, Fault.EXPIRED)

    def test_fixed(self) -> None:
        """The same for ever, for senders that may have one."""
        signed = "SES=YI70XJM6RXQ_YEER1_AHI=mickey@Mouse.com"
        self.assertEqual(ses().sign_fixed("mickey@Mouse.com", 12345678), signed)
        allowed = ses(fixed=("mickey@mouse.com",))
        for now in (NOW, 1_800_000_000.0):
            verified = allowed.verify(signed, now)
            self.assertEqual((verified.timecode, verified.message_id, verified.expires), (0, 12345678, None))
        self.assertRaises(InvalidSignature, ses().verify, signed, NOW)


class ForgeryTests(SynchronousTestCase):
    """Case 25."""

    def test_forged_fixed(self) -> None:
        """[NEW] The hash of a fixed signature is verified."""
        forged = "SES=K3I-L3GXGVPB-F8_3C=victim@mouse.com"
        fault = self.assertRaises(InvalidSignature, ses(fixed=("victim@mouse.com",)).verify, forged, NOW).fault
        self.assertEqual(fault, Fault.FORGED)

    def test_rejects(self) -> None:
        """The malformed ones of 3.3, each with one kind of error; unsigned ones are told apart."""
        for address, fault in (
            ("SES=AAAA=joe", Fault.MALFORMED),
            ("SES=AAAA@mouse.com", Fault.MALFORMED),
            ("SES=AAAA=a=b@mouse.com", Fault.MALFORMED),
            ("SES=A!A=joe@mouse.com", Fault.MALFORMED),
            ("SES==joe@mouse.com", Fault.MALFORMED),
            ("SES=FE68Q8Y4XOT6ZW5XZ=@mouse.com", Fault.MALFORMED),
            (f"SES={'B' * 25}=joe@mouse.com", Fault.MALFORMED),
            ("SES=A" + "FE68Q8Y4XOT6ZW5XZ=mickey@mouse.com", Fault.MALFORMED),
            ("SES=FE68Q8Y4XOT6ZW5XZ=mickey@evil.example", Fault.FORGED),
            ("SES=FE68Q8Y4XOT6ZW5XZ=minnie@mouse.com", Fault.FORGED),
            ("SES=FE68Q8Y4XOT6ZW5XY=mickey@mouse.com", Fault.FORGED),
            ("mickey@mouse.com", Fault.UNSIGNED),
            ("", Fault.UNSIGNED),
        ):
            self.assertEqual(self.assertRaises(InvalidSignature, ses().verify, address, NOW).fault, fault, address)

    def test_huge_number(self) -> None:
        """A number beyond any that we give is no signature, and no error of arithmetic."""
        for number in (2**32, 2**64, 2**70):
            signature = base38.encode(number << 86)
            self.assertRaises(InvalidSignature, ses().verify, f"SES={signature}=joe@mouse.com", NOW)

    def test_unsignable(self) -> None:
        """What would not fit in a local part or in a label of the DNS, or is quoted, stays as it is (6.5)."""
        self.assertRaises(Unsignable, ses().sign, f"joe@{'.'.join(['x' * 60] * 4)}.example", 1, NOW)
        for user in ('"a b"', "x" * 43, "x" * 42, f"{'x' * 30}.{'y' * 30}", "a@b"):
            self.assertRaises(Unsignable, ses().sign, f"{user}@mouse.com", 1, NOW)
        self.assertIn("x" * 41, ses().sign(f"{'x' * 41}@mouse.com", 1, NOW))


class PropertyTests(SynchronousTestCase):
    """Whatever the address."""

    @given(
        st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-]{1,30}", fullmatch=True),
        st.integers(1, 400_000),
        st.integers(0, 2**33),
        st.integers(1, 40),
    )
    def test_round_trip(self, user: str, number: int, now: int, days: int) -> None:
        """What was signed verifies, in any case, and with [NEW] C{=} in the user."""
        signer = ses(days=days)
        signed = signer.sign(f"{user}@mouse.com", number, now)
        self.assertEqual(signer.verify(signed, now).address, f"{user}@mouse.com")
        self.assertEqual(signer.verify(signed.lower(), now + UNIT).message_id, number)

    @given(st.text(max_size=60))
    def test_garbage(self, text: str) -> None:
        """Any text is unsigned, and nothing else happens."""
        for address in (text, f"SES={text}", f"SES={text}@x.example", f"SES=FE68Q8Y4XOT6ZW5XZ={text}"):
            self.assertRaises(InvalidSignature, ses().verify, address, NOW)
