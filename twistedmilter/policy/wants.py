"""What we ask of the MTA, computed from what the checks implement (DESIGN section 4, CORRECTIONS 11).

Every exchange that is not owed costs more than anything we do with it (specs/bench.md): a step at which no
check can speak is marked no-reply, a step that nobody reads is switched off, a macro that nobody reads is not
asked for.
"""

from __future__ import annotations

from twistedmilter.model.settings import PolicySettings
from twistedmilter.model.stage import Stage
from twistedmilter.policy.chain import CheckChain
from twistedmilter.wire import letters
from twistedmilter.wire.flags import Action, MacroStage
from twistedmilter.wire.negotiation import Wants

_RECORD = frozenset(b"CHMRL")  # the record tells of these whatever the chain is; headers also for hygiene
_ACTIONS = Action.ADDHDRS | Action.CHGHDRS | Action.QUARANTINE | Action.SETSYMLIST
_BODY_ACTIONS = Action.CHGBODY | Action.ADDRCPT | Action.DELRCPT | Action.CHGFROM | Action.ADDRCPT_PAR

_TLS = ("{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}", "{verify}")
_AUTH = ("{auth_type}", "{auth_authen}", "{auth_ssf}", "{auth_author}")
_END = ("i", "{msg_id}")
MACROS: dict[MacroStage, tuple[str, ...]] = {
    MacroStage.CONNECT: ("j", "v", "{daemon_name}", "{daemon_port}", "{client_resolve}"),
    MacroStage.HELO: _TLS,
    MacroStage.MAIL: ("i", *_AUTH, *_TLS),
    MacroStage.RCPT: ("i",),  # Postfix gives the queue id with the second recipient at the earliest
    MacroStage.EOM: _END,
    MacroStage.EOH: _END,  # sendmail decides about the list of EOM by this one (milter-spec 2.6)
}

_REFUSED = ("{rcpt_mailer}", "{rcpt_host}")  # "error" and the enhanced status code of a refused one (milter-spec 3.4)

_BEFORE_RCPT = ((Stage.CONNECT, b"C"[0]), (Stage.HELO, b"H"[0]), (Stage.MAIL, b"M"[0]))


def wants_of(chain: CheckChain, policy: PolicySettings) -> Wants:
    """The steps, actions and macros that this chain needs."""
    needed, answered = set(_RECORD), set()
    if chain.asks_at(Stage.HEADERS):
        needed.add(letters.END_OF_HEADERS)
    if chain.asks_at(Stage.BODY):
        needed.add(letters.BODY)
    if policy.mode == "enforce":
        early = {letter for stage, letter in _BEFORE_RCPT if chain.judges_at(stage)}
        if early or chain.judges_at(Stage.RCPT):
            answered.add(letters.RCPT)
        if not policy.delay_refusals:
            answered |= early
        if chain.asks_at(Stage.HEADERS):
            answered.add(letters.END_OF_HEADERS)
    demerits = chain.entry("demerits")
    sees_refused = demerits is not None and getattr(demerits.check, "sees_mta_refusals", False) is True
    macros = MACROS | {MacroStage.RCPT: (*MACROS[MacroStage.RCPT], *_REFUSED)} if sees_refused else MACROS
    return Wants(
        needed=frozenset(needed),
        answered=frozenset(answered),
        actions=_ACTIONS | _BODY_ACTIONS,
        rejected_recipients=sees_refused,
        macros=macros,
    )
