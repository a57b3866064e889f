#!/bin/sh
# How to connect an MTA to the service that `make run` starts: README's own lines.
cd "$(dirname "$0")/.." || exit
block() { awk -v fence="\`\`\`$1" '$0 == fence { on = 1; next } on && /^```/ { exit } on { print "    " $0 }' README.md; }
cat <<TEXT
sendmail: add this to /etc/mail/sendmail.mc, rebuild sendmail.cf, restart sendmail

$(block m4)

Postfix: add this to /etc/postfix/main.cf, then run postfix reload

$(block ini)

twistedmilter serves with its defaults until Ctrl-C.

TEXT
