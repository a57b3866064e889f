divert(-1)
dnl
dnl srs.m4: senders that leave by SMTP are rewritten or signed, and recipients that come back are reversed.
dnl
dnl Part of twistedmilter, MIT licence.  For sendmail 8.13.4 and later, built with SOCKETMAP.
dnl Copy this file to the directory hack of sendmail's cf files; then say in sendmail.mc, below the MAILER lines:
dnl
dnl   HACK(`srs', `SOCKET')dnl
dnl
dnl SOCKET  where [socketmap] listens: /run/twistedmilter/socketmap, local:/path, or inet:PORT@127.0.0.1
dnl
dnl Before it may stand:
dnl
dnl   define(`SRS_DELIVER', `1')dnl
dnl           when the service does not answer, deliver with the sender as it is; without it messages wait in the queue
dnl
dnl A next hop that is to get senders as they are has the mailer srsexempt instead of esmtp, as in the mailertable:
dnl
dnl   trusted.example		srsexempt:[192.0.2.1]
dnl
dnl What it adds: the maps make_srs, reverse_srs, is_signed and srs_macro, the mailer srsexempt, the rulesets srs_sender and
dnl EnvFromExempt, a rule at the end of EnvFromSMTP, a few at the beginning of ruleset 0 and, unless SRS_DELIVER, at the end
dnl of check_compat.  -f and -q keep addresses as they are: hashes have capitals, and local parts may have quotes.
dnl
ifelse(defn(`_ARG_'), `', `errprint(`*** ERROR: HACK(srs) needs the socket of twistedmilter
')')
define(`_TM_SRS_SOCKET_', ifelse(substr(_ARG_, 0, 1), `/', `local:_ARG_', `_ARG_'))
divert(0)
VERSIONID(`twistedmilter srs.m4')
LOCAL_CONFIG
# senders and recipients with SRS, SES or BATV
C{SRSMailer}smtp esmtp smtp8 dsmtp relay
Kis_signed regex -a<SIGNED> ^"?(srs[01][=+-]|ses=|prvs=)
Kmake_srs socket -f -q -T<TMPF> _TM_SRS_SOCKET_
Kreverse_srs socket -f -q -T<TMPF> _TM_SRS_SOCKET_
Ksrs_macro macro

LOCAL_RULE_0
R$+ <@ $+ >	$: $(is_signed $1 $: $) $| $1 <@ $2 >
R<SIGNED> $| $+	$: $(reverse_srs $1 $)
R$* <TMPF>	$#error $@ 4.3.0 $: "451 4.3.0 This address cannot be verified now; try again later"
R$* $| $+	$: $2

MAILER_DEFINITIONS
SEnvFromSMTP
R$+ <@ $+ >	$: $>srs_sender $1 <@ $2 >

# as from EnvFromSMTP, without its last rule
SEnvFromExempt
R$*	$: $(srs_macro {srs_exempt} $@ yes $) $1
R$*	$: $>EnvFromSMTP $1
R$*	$: $(srs_macro {srs_exempt} $@ no $) $1

Msrsexempt,	P=[IPC], F=mDFMuXa, S=EnvFromExempt/HdrFromSMTP, R=EnvToSMTP, E=\r\n, L=990,
		T=DNS/RFC822/SMTP,
		A=ESMTP_MAILER_ARGS

# the sender as it leaves for the next hop
Ssrs_sender
R$+	$: < $&{srs_exempt} > $1
R<yes> $+	$@ $1
R< $* > $+	$: $2 $| $(make_srs $&h $| $2 $: <KEEP> $)
R$+ $| $* <TMPF>	$@ $1
R$+ $| <KEEP>	$@ $1
R$+ $| $+	$@ $2

ifdef(`SRS_DELIVER', `dnl', `dnl
# nothing can be put off while a sender is rewritten, so it is put off before
Scheck_compat
R<> $| $*	$@ OK
R$* $| $*	$: <?> $>canonify $2
R<?> $*	$: <?> $>parse $1
R<?> $# $={SRSMailer} $*	$: $(reverse_srs probe $)
R$* <TMPF>	$#error $@ 4.3.0 $: "451 4.3.0 Senders cannot be rewritten now; try again later"
')
divert(-1)
