`twistedmilter verify SENDER` asks the mail exchangers of a sender whether they take mail for it and shows the conversation; the service itself calls nobody.
The check `three_strikes`, off by default, refuses strangers with no SPF record, no valid HELO name and no real PTR name and tells them which three are missing; what looks like a dynamic name is a pattern file that you can extend.
The service keeps what it learns in `state.db` in its state directory, or in memory with `[store] url = "memory"`; a damaged file is moved aside with an error.
`twistedmilter list show|add|remove` shows and changes the whitelist, the blacklist and the bans, with comment and expiry; `list import` reads the files of pymilter's bms.
