`twistedmilter verify SENDER` asks the mail exchangers of a sender whether they take mail for it and shows the conversation.
The check `known_sender` spares people you wrote to the strikes, greylisting and callbacks if they pass SPF, and refuses senders of the blacklist; `learn_from` names the users whose recipients become known; nobody is known until then.
The check `greylist`, off by default, tells strangers with a strike to come back in two minutes; a domain that passes SPF has to do so once.
Checks of the recipient now begin when those of the sender have ended, within the same `command_budget`.
The check `three_strikes` refuses strangers with no SPF record, no valid HELO name and no real PTR name and tells them which three are missing; what looks like a dynamic name is a pattern file that you can extend.
The service keeps what it learns in `state.db` in its state directory, or in memory with `[store] url = "memory"`; a damaged file is moved aside with an error.
`twistedmilter list show|add|remove` shows and changes the whitelist, the blacklist and the bans, with comment and expiry; `list import` reads the files of pymilter's bms.
Policies say also `CBV`, `DSN`, `WHITELIST`, `BAN` and `REJECT!`, by full address, domain, parent domains and result, in `[spf.policy]` and in a sendmail access map (`[policy] access`: text, hash or cdb, read again when it changes); `ERROR` may name the `{recipient}`.
`[spf]` has the lists `accept_fail`, `accept_softfail` and `reject_neutral`.
The checks `sender_login` (which authenticated user may use which sender), `internal_bounce` (who of our own may send bounces) and `banned_domain` do nothing until they are given entries.
`twistedmilter policy SENDER --result softfail` shows which entry of a policy decides and why; `check-config` warns of words that cannot do what they say.
With `[callback] mode = "enforce"` the policy word `CBV` asks the sender's mail exchangers, within limits, and refuses a sender that does not exist in the exchanger's own words; answers are remembered. Off by default: nobody is called unasked.
The check `recipients`, off by default, refuses recipients that do not exist, by lists of users in the configuration or in files that are read again when they change, or by asking an inner server.
The check `demerits` adds up bad behaviour on a connection and bans the client's address for four hours; by default it only observes. `twistedmilter ban list|add|remove` shows and lifts bans. Clients of ours, trusted relays and addresses with accepted mail in 30 days are never banned.
The check `outgoing`, off by default, limits the recipients that an authenticated user, or a domain, writes to in an hour, and tells you when somebody is over the limit.
With `[dsn] mode = "enforce"` the policy word `DSN` tells the sender by mail what is wrong (RFC 3464), once a week, if its domain passed SPF and it is no machine or list; all others are called back instead. Texts can be your own, by language. Off by default: nothing is sent to anybody. `twistedmilter dsn show` prints what would be sent.
`[spf]` can look further before it judges: `lax` behind a permerror, `best_guess`, `helo_vouches` and `delegate` where there is no record, `trusted_forwarders`, and `defer_only_passes` for a temperror; headers keep the official result. All off by default; a permerror now names what was probably meant. `compat = "seed"` decides as the ancestor did.
A disk that is full, read-only or broken no longer keeps the service from starting: it goes on in memory, says so in the log and in `twistedmilter status`, and writes the file when it can. Below 64 MiB of free space (`[store] min_free`) only lists and bans are written. A disk that hangs no longer keeps the service from stopping.
The files of `[banned_domain]` are read again when they change, as those of `[recipients] users` are; both, and access maps, are read beside the mail, so that a long file delays nobody. `twistedmilter status` says how many entries they have, and why a change is not used.
`state.db` is synced to the disk every second, so that a loss of power takes no more than that.
`twistedmilter list show` asks for a long list in pages, and what has expired in memory is dropped in slices: neither holds up mail any more.
`twistedmilter list import` tells lines that are neither an address nor a domain, with file and number, and leaves them out.
A notification is remembered before it is sent, so that neither a restart nor a kill lets a sender be told twice. What an exchanger does not take now is tried again for `[dsn] retry_hours` (48), with longer and longer waits; `twistedmilter dsn show` lists what waits and what went out last, `dsn show TEMPLATE --last` prints that.
An exchanger's address that keeps failing (`[callback] breaker_failures`, `breaker_minutes`) is left alone for a while and then probed once; `twistedmilter status` shows which.
An exchanger that has an address of this host's interfaces is never called; the packaged unit lets the service ask the kernel for them.
`twistedmilter spf` shows also what a lax reading or a guess would give, named as that, the correction of a broken record, and what the check would do; `twistedmilter policy SENDER --ip ADDRESS` shows which entry decides on it.
`[known_sender] precise_only` believes whole addresses only, `learn_subject` lets any user of yours make the recipients of one message known by a word in its subject, and `forget_for` names reasons for which a learnt sender is not known any more.
The classic log has the ancestor's tags `WHITELIST`, `PROBATION`, `BLACKLIST`, `GREYLIST:`, `GREYLISTED:`, `CBV:`, `TRUSTED_FORWARDER:` and `X-Guessed-SPF:` again.
A stock service starts sooner: what asks and tells senders is loaded only where it is switched on.
