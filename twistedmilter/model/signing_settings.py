"""The sections about senders that prove themselves, and about the MTAs that ask for them; see docs/srs.md."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from twistedmilter.model.section import Addresses, CheckMode, CheckSettings, Count, Networks, Seconds, Section

Domains = list[str]


class SRSSettings(Section, frozen=True, kw_only=True):
    """[srs]: senders of forwarded mail are rewritten so that bounces come back through us; see docs/srs.md."""

    secret_file: Annotated[
        str,
        Meta(
            description="secrets, one a line, the newest first: twistedmilter secret new makes one; nobody else on the "
            "host may read it; without it nothing is rewritten"
        ),
    ] = "/etc/twistedmilter/srs.secret"  # noqa: S105 - its name
    forward_domain: Annotated[
        str, Meta(description="the domain of rewritten senders, whose mail comes to us; empty: nobody is rewritten")
    ] = ""
    sign_domains: Annotated[
        Domains, Meta(description="domains of our own whose senders are signed at their own domain, with SRS")
    ] = field(default_factory=list)
    reverse_domains: Annotated[
        Domains, Meta(description="domains whose recipients are reversed, besides these: former forward domains")
    ] = field(default_factory=list)
    local_domains: Annotated[
        Addresses,
        Meta(
            description="domains whose senders are not rewritten, besides forward_domain and networks.internal_domains"
        ),
    ] = field(default_factory=list)
    exempt_hosts: Annotated[
        list[str], Meta(description="next hops to which senders go unchanged; only sendmail says where a message goes")
    ] = field(default_factory=list)
    max_age_days: Annotated[int, Meta(description="a rewritten sender comes back for [days]", ge=1, le=365)] = 21
    hash_length: Annotated[int, Meta(description="characters of the hash that we write", ge=4, le=24)] = 8
    hash_minimum: Annotated[
        int, Meta(description="characters of the hash that we believe; 0: hash_length", ge=0, le=24)
    ] = 0
    hash: Annotated[
        Literal["v2", "legacy"],
        Meta(
            description="v2: safe, but ours alone; legacy: that of Mail::SRS and PostSRSd, to share a secret with one"
        ),
    ] = "v2"
    legacy_until: Annotated[
        str,
        Meta(
            description="with v2, the day until which hashes of the legacy form are believed, after a change from "
            "another program: max_age_days from then; empty: never",
            pattern="^([0-9]{4}-[0-9]{2}-[0-9]{2})?$",
            examples=["2027-01-31"],
        ),
    ] = ""
    separator: Annotated[Literal["=", "+", "-"], Meta(description="what stands behind SRS0 and SRS1")] = "="
    max_local_part: Annotated[
        int,
        Meta(
            description="a sender whose local part would become longer goes unchanged; RFC 5321 allows 64, most "
            "servers take more [octets]",
            ge=64,
            le=190,
        ),
    ] = 64


class SESSettings(Section, frozen=True, kw_only=True):
    """[ses]: senders of our own that prove themselves for some days; see docs/srs.md."""

    domains: Annotated[Domains, Meta(description="domains of our own whose senders are signed")] = field(
        default_factory=list
    )
    secret_file: Annotated[str, Meta(description="secrets, as srs.secret_file, which it is if this is empty")] = ""
    days: Annotated[int, Meta(description="a signature is good for [days]", ge=1, le=90)] = 10
    fixed: Annotated[
        dict[str, int],
        Meta(
            description="senders whose signature is always the same, for mailing lists that know them by it, each with "
            "a number of its own"
        ),
    ] = field(default_factory=dict)
    servers: Annotated[int, Meta(description="hosts that sign with the same secret", ge=1, le=1_000)] = 1
    server: Annotated[int, Meta(description="the number of this one among them, from 0", ge=0, le=999)] = 0


class BATVSettings(Section, frozen=True, kw_only=True):
    """[batv]: senders of our own with the tag prvs, which others know but which is weak; see docs/srs.md."""

    domains: Annotated[Domains, Meta(description="domains of our own whose senders are tagged")] = field(
        default_factory=list
    )
    key_files: Annotated[
        dict[str, str],
        Meta(description="by number, 0 to 9, the file of each key: all verify", examples=[{"0": "batv0.secret"}]),
    ] = field(default_factory=dict)
    signing_key: Annotated[int, Meta(description="the number of the key that signs", ge=0, le=9)] = 0
    days: Annotated[int, Meta(description="a tag is good for [days]", ge=1, le=99)] = 7
    fold_domain: Annotated[
        bool, Meta(description="hash the domain in lower case; true only if nobody else verifies our tags")
    ] = False


class SocketmapListenSettings(Section, frozen=True, kw_only=True):
    """One entry of [socketmap] listen, written as a table."""

    address: Annotated[str, Meta(description="as in milter.listen; TCP on loopback only, unless anywhere = true")]
    mode: Annotated[
        str, Meta(description="octal mode of a unix socket", pattern="^0?[0-7]{3}$", examples=["0660", "0666"])
    ] = "0660"
    group: Annotated[str, Meta(description="group of a unix socket; empty: our own")] = ""
    users: Annotated[
        list[str],
        Meta(
            description="names or numbers of the users that may ask by a unix socket, besides root and our own; "
            "[]: whoever can open it, and so get any sender signed"
        ),
    ] = field(default_factory=list)
    protocol: Annotated[
        Literal["socketmap", "tcp_table"],
        Meta(description="of sendmail and Postfix; or tcp_table(5) of Postfix, which does not name a map"),
    ] = "socketmap"
    map: Annotated[
        Literal["forward", "reverse", "ses_verify", "batv_verify"], Meta(description="the map that tcp_table asks")
    ] = "forward"
    anywhere: Annotated[
        bool, Meta(description="listen on TCP beyond loopback all the same: whoever connects gets any sender signed")
    ] = False


class SocketmapSettings(Section, frozen=True, kw_only=True):
    """[socketmap]: where MTAs ask for rewritten senders and reversed recipients; see docs/srs.md."""

    listen: Annotated[
        list[str | SocketmapListenSettings],
        Meta(description="addresses to listen on, each as text or as a table (see below); [] switches the face off"),
    ] = field(default_factory=list)
    max_request: Annotated[int, Meta(description="longest request [octets]", ge=1_024, le=100_000)] = 10_000
    request_timeout: Annotated[Seconds, Meta(description="time for each started request [s]")] = 10.0
    idle_timeout: Annotated[Seconds, Meta(description="silence of an MTA before it is closed [s]")] = 600.0
    max_connections: Annotated[Count, Meta(description="MTA connections at once; more are not accepted")] = 256


class BounceSettings(CheckSettings, frozen=True, kw_only=True):
    """[bounce]: refuses bounces about mail that we never sent; see docs/srs.md."""

    mode: CheckMode = "off"
    require_signature: Annotated[
        bool,
        Meta(
            description="bounces to unsigned users of ses.domains, srs.sign_domains and batv.domains are refused at "
            "the end of the headers: true once all mail of these domains has been signed for as long as bounces take"
        ),
    ] = False
    single_recipient: Annotated[bool, Meta(description="bounces to several recipients are refused")] = True
    bounces_only: Annotated[
        bool, Meta(description="signed and rewritten addresses take bounces only, nothing with a sender")
    ] = False
    bounce_users: Annotated[
        list[str], Meta(description="local parts whose mail is a bounce, too", examples=[["mailer-daemon"]])
    ] = field(default_factory=list)
    exempt: Annotated[
        Networks, Meta(description="clients whose unsigned bounces are taken: addresses and CIDR ranges")
    ] = field(default_factory=list)
