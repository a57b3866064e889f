`[socketmap]` lets sendmail and Postfix ask for rewritten senders and reversed recipients (SRS), by socketmap or tcp_table: forwarded mail passes SPF at the next hop and its bounces come back. Off until a listener, a domain and a secret are there.
`[ses]`, `[batv]` and `srs.sign_domains` sign senders of your own domains.
`twistedmilter secret new` makes a secret; files of secrets that others can read are refused, and older secrets verify until what they signed has expired.
The check `bounce`, off by default, refuses bounces about mail that was not sent from here: forged signatures at RCPT, unsigned recipients of signed domains at the end of the headers, and bounces to several recipients.
