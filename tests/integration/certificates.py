"""An authority of our own, and certificates by it for the MTA and for one SMTP client; good for a day."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AUTHORITY, SERVER, CLIENT = "Sessions Authority", "mx.test.invalid", "client.partner.example"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the files are; each key is beside its certificate, as C{NAME.key}."""

    directory: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate."""
        return self.directory / "authority.pem"

    @property
    def server(self) -> Path:
        """The MTA's certificate."""
        return self.directory / "server.pem"

    @property
    def client(self) -> Path:
        """The SMTP client's certificate."""
        return self.directory / "client.pem"


def make_certificates(directory: Path) -> Certificates:
    """Write authority, server and client certificates with their keys."""
    directory.mkdir()
    made = Certificates(directory)
    authority = ec.generate_private_key(ec.SECP256R1())
    _write(made.authority, authority, AUTHORITY, authority)
    for path, name in ((made.server, SERVER), (made.client, CLIENT)):
        _write(path, ec.generate_private_key(ec.SECP256R1()), name, authority)
    return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write(path: Path, key: ec.EllipticCurvePrivateKey, name: str, authority: ec.EllipticCurvePrivateKey) -> None:
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(AUTHORITY))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=key is authority, path_length=None), critical=True)
        .sign(authority, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    path.with_suffix(".key").chmod(0o600)
