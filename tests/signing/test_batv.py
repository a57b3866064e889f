"""Tests of BATV (gossip-srs-dns-spec 4, abuse case 29)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.durations import DAY
from twistedmilter.signing.addresses import Unsignable
from twistedmilter.signing.batv import BATV, CYCLE
from twistedmilter.signing.keys import KeyRing, Secret
from twistedmilter.signing.srs import SRS
from twistedmilter.signing.srs_hash import SRSHash
from twistedmilter.signing.verification import Fault, InvalidSignature

NOW = 1_700_000_000.0  # day 19675


def batv(secret: bytes = b"secret", number: int = 0, days: int = 7, *, fold: bool = False) -> BATV:
    """With one key."""
    return BATV(keys={number: Secret(secret)}, signing_key=number, days=days, fold_domain=fold)


class VectorTests(SynchronousTestCase):
    """The table of section 4: interoperable with Exim and batv-tools."""

    def test_vectors(self) -> None:
        """Every row, signed and verified."""
        for now, address, signed, signer in (
            (NOW, "joe@example.com", "068295d4a6", batv()),
            (NOW, "joe@example.com", "1682189c41", batv(number=1)),
            (NOW, "Joe@Example.COM", "0682fccfdc", batv()),
            (NOW, "joe@example.com", "0682b68239", batv(b"othersecret")),
            (NOW, "a=b@example.com", "06825fd3fd", batv()),
            (NOW, "joe@example.com", "070510acc4", batv(days=30)),
            (1_577_836_860.0, "joe@example.com", "0269718de7", batv()),
            (1_727_913_600.0, "joe@example.com", "0006a6782e", batv()),
            (1_727_568_000.0, "joe@example.com", "0002725a6a", batv()),
            (0.0, "joe@example.com", "0007a57560", batv()),
        ):
            self.assertEqual(signer.sign(address, now), f"prvs={signed}={address}")
            self.assertEqual(signer.verify(f"prvs={signed}={address}", now).address, address)
            self.assertEqual(signer.verify(f"PRVS={signed.upper()}={address}", now).address, address)

    def test_expiry(self) -> None:
        """DDD 682 and, over the end of the thousand, 006."""
        for tag, good, bad in (
            ("068295d4a6", (*range(19675, 19683), 20675), (19683, 19674, 19000)),
            ("0006a6782e", range(19999, 20007), (19998, 20007)),
        ):
            address = f"prvs={tag}=joe@example.com"
            for day in good:
                self.assertEqual(batv().verify(address, day * DAY).address, "joe@example.com")
            for day in bad:
                fault = self.assertRaises(InvalidSignature, batv().verify, address, day * DAY).fault
                self.assertEqual(fault, Fault.EXPIRED, str(day))
        self.assertEqual(batv().verify("prvs=068295d4a6=joe@example.com", NOW).expires, 19683 * DAY)

    def test_forwarded(self) -> None:
        """A tagged sender is forwarded with SRS and comes back (section 4, last line)."""
        srs = SRS(hash=SRSHash(keys=KeyRing.of(b"x")))
        signed = batv().sign("joe@example.com", NOW)
        self.assertEqual(srs.reverse(srs.forward(signed, "fwd.example", NOW), NOW).address, signed)


class ForgeryTests(SynchronousTestCase):
    """Case 29, and what is no tag."""

    def test_refused(self) -> None:
        """Another hash, day, key or address; tags of others and in the other order."""
        for address, fault in (
            ("prvs=068295d4a7=joe@example.com", Fault.FORGED),
            ("prvs=099995d4a6=joe@example.com", Fault.FORGED),
            ("prvs=168295d4a6=joe@example.com", Fault.FORGED),
            ("prvs=068295d4a6=jim@example.com", Fault.FORGED),
            ("prvs=068295d4a6=joe@Example.com", Fault.FORGED),
            ("prvs=068295d4=joe@example.com", Fault.MALFORMED),
            ("prvs=068295d4a6@example.com", Fault.MALFORMED),
            ("prvs=068295d4a6=@example.com", Fault.MALFORMED),
            ("prvs=\u0660682" + "95d4a6=joe@example.com", Fault.MALFORMED),
            ("prvs=joe=068295d4a6@example.com", Fault.MALFORMED),
            ("msprvs1=19683=joe@example.com", Fault.UNSIGNED),
            ("btv1==068295d4a6=joe@example.com", Fault.UNSIGNED),
            ("joe@example.com", Fault.UNSIGNED),
        ):
            self.assertEqual(self.assertRaises(InvalidSignature, batv().verify, address, NOW).fault, fault, address)

    def test_far_future(self) -> None:
        """A tag that we would sign only later is none, though its hash is right; Exim's own rule believes it."""
        later = batv(days=30).sign("joe@example.com", NOW)
        self.assertEqual(self.assertRaises(InvalidSignature, batv().verify, later, NOW).fault, Fault.EXPIRED)

    def test_keys(self) -> None:
        """The number names the key; several verify, one signs."""
        both = BATV(keys={0: Secret(b"secret"), 3: Secret(b"newer")}, signing_key=3)
        self.assertTrue(both.sign("joe@example.com", NOW).startswith("prvs=3682"))
        self.assertEqual(both.verify("prvs=068295d4a6=joe@example.com", NOW).secret, Secret(b"secret"))
        self.assertRaises(ValueError, BATV, keys={0: Secret(b"x")}, signing_key=1)
        self.assertRaises(ValueError, BATV, keys={10: Secret(b"x")}, signing_key=10)
        self.assertRaises(ValueError, batv, days=CYCLE // 2)

    def test_folding(self) -> None:
        """Where both ends are ours, the case of the domain may change; that of the user may not."""
        signer = batv(fold=True)
        signed = signer.sign("Joe@Example.COM", NOW)
        domain = signed.replace("Example.COM", "example.com")
        self.assertEqual(signer.verify(domain, NOW).address, "Joe@example.com")
        self.assertRaises(InvalidSignature, signer.verify, signed.lower(), NOW)

    def test_unsignable(self) -> None:
        """Quotes, no domain, and what would be too long."""
        for sender in ('"a b"@example.com', "joe", f"{'x' * 50}@example.com", ""):
            self.assertRaises(Unsignable, batv().sign, sender, NOW)

    @given(st.text(max_size=60))
    def test_garbage(self, text: str) -> None:
        """Any text is no tag of ours, and nothing else happens."""
        for address in (text, f"prvs={text}", f"prvs={text}@x.example", f"prvs=068295d4a6={text}"):
            if address != "prvs=068295d4a6=joe@example.com":
                self.assertRaises(InvalidSignature, batv().verify, address, NOW)
