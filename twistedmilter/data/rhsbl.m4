divert(-1)
dnl
dnl rhsbl.m4: refuse mail by the domain of its sender, as DNS lists of domains have it.
dnl
dnl Part of twistedmilter, MIT licence.  For sendmail 8.12 and later with its dns map (option NAMED_BIND).
dnl Copy this file to the directory hack of sendmail's cf files; then say in sendmail.mc, below all FEATURE lines:
dnl
dnl   HACK(`rhsbl', `ZONE', `TEXT', `TEMPORARY', `CODE', ...)dnl
dnl
dnl ZONE       the list, e.g. rhsbl.example.net.  One line a list; they are asked in the order of their lines.
dnl TEXT       the reply to a sender whose domain is listed, e.g.
dnl            "550 5.7.1 Mail from " $&{RHS} " refused, see https://example.net/why"
dnl            left out: it names the domain, the list and the list's own reason, its TXT record.
dnl            $&{RHS} is the domain.
dnl TEMPORARY  what is replied when the list does not answer: t for a 451 in our words, or a text of your own;
dnl            left out: mail passes, as if the domain were not listed.
dnl CODE ...   up to six patterns of return codes that count, with a dot at the end, e.g. 127.0.0.2. or 127.0.$-.3.
dnl            left out: every code of 127.0.0.0/8 counts.
dnl
dnl 127.255.255.0/24 and 127.0.0.1, by which lists say that they may not be asked, never count (RFC 5782).
dnl Entries OK and RELAY of the access map for the address or the domain of the sender come before all lists.
dnl
dnl What it adds: the maps rhsbl, rhsbltxt and rhsblmacro, the ruleset rhsbl_sender, and a few rules to Local_check_mail.
dnl
ifelse(defn(`_ARG_'), `', `errprint(`*** ERROR: HACK(rhsbl) needs the name of a list
')')
divert(0)
ifdef(`_TM_RHSBL_', `dnl', `dnl
define(`_TM_RHSBL_', `1')dnl
VERSIONID(`twistedmilter rhsbl.m4')
LOCAL_CONFIG
# DNS lists of sender domains: addresses only, since IPv6 is asked for first otherwise; and their reasons
Krhsbl dns -R A -a. -T<TMP> -r5
Krhsbltxt dns -R TXT -r5
Krhsblmacro macro

LOCAL_RULESETS
SLocal_check_mail
R$*	$: $1 $| $>"rhsbl_sender" $1
R$* $| $#$*	$#$2
R$* $| $*	$: $1

# the domain of the sender, asked about in each list
Srhsbl_sender
R<>	$@ OK		the null reverse-path has none
R$*	$: $>CanonAddr $1
R$* <@ $+ . > $*	$1 <@ $2 > $3
R$*	$: <=> $1
R<=> $* <@ $+ > $*	$: $(rhsblmacro {RHS} $@ $2 $) <A> $1 <@ $2 >
R<=> $*	$@ OK		unqualified
R<A> $* <@ [ $* >	$@ OK		an address literal
R<A> $* <@ $- >	$@ OK		one label: the test entries of RFC 5782
ifdef(`_ACCESS_TABLE_', `R<A> $+ <@ $+ >	$: <A> $>SearchList <+ From> $| <F:$1@$2> <U:$1@> <D:$2> <>
R<A> <$={Accept}>	$@ OK
R<A> $*	$: <?> $&{RHS}', `R<A> $* <@ $+ >	$: <?> $2')
')
divert(-1)
dnl the second and the third argument with whatever commas they hold
define(`_TM_RHSBL_2_', ``$2'')
define(`_TM_RHSBL_3_', ``$3'')
define(`_TM_RHSBL_MESSAGE_', `ifelse(_TM_RHSBL_2_(_ARGS_), `',
`"550 5.7.1 Mail from " $`'&{RHS} " refused by '_ARG_`: " $`'1', `_ARG2_')')
define(`_TM_RHSBL_LATER_', `ifelse(_TM_RHSBL_3_(_ARGS_), `t',
`"451 4.7.1 No answer from '_ARG_` about " $`'&{RHS} "; try again later"', `_ARG3_')')
define(`_TM_RHSBL_CODE_', `ifelse(len(X`'$1), `1', `dnl', `R<?> $`'+ $`'| $1	$`': <!> $`'1')')
divert(9)
# _ARG_
R<?> $+	$: <?> $1 $| $(rhsbl $1._ARG_. $: OK $)
ifelse(_TM_RHSBL_3_(_ARGS_), `', `dnl', `R<?> $+ $| $* <TMP>	$#error $@ 4.7.1 $: _TM_RHSBL_LATER_')
R<?> $+ $| 127.255.255.$-.	$: <?> $1
R<?> $+ $| 127.0.0.1.	$: <?> $1
ifelse(len(X`'_ARG4_), `1', `R<?> $+ $| 127.$-.$-.$-.	$: <!> $1', `dnl
_TM_RHSBL_CODE_(_ARG4_)
_TM_RHSBL_CODE_(_ARG5_)
_TM_RHSBL_CODE_(_ARG6_)
_TM_RHSBL_CODE_(_ARG7_)
_TM_RHSBL_CODE_(_ARG8_)
_TM_RHSBL_CODE_(_ARG9_)')
R<?> $+ $| $*	$: <?> $1
R<!> $+	$: <!> $(rhsbltxt $1._ARG_. $: $)
R<!> $*	$#error $@ 5.7.1 $: _TM_RHSBL_MESSAGE_
divert(-1)
