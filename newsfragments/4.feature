The check `dnsbl` asks DNS lists of others about clients, sender domains and HELO names; return codes mean what you say, error codes never do, and a list that fails its probe is not used until it works again. No list is asked by default.
The check `throwaway` refuses families of throwaway names, such as ded304.com, ded305.com, by the patterns of zone files, without the DNS; it does nothing until it is given a file.
With `[dns] publish_bans` the lists have the domains of the blacklist and the banned clients as well, from the moment they are entered until they expire.
`rhsbl.m4` lets sendmail refuse senders by a list of domains; the manual has the lines for sendmail, Postfix and unbound.
A name server for lists of your own answers over UDP and TCP from zone files that may hold patterns; it follows its files, keeps the old zone when a new file is bad, and shows its state in `twistedmilter status`. Without a configuration file it serves an example on 127.0.0.1:8853; with one it opens nothing until there is a `[[dns.zones]]`.
Access lists, rate limits for strangers, DNS cookies and `[dns] processes` keep it from harming others and milters from waiting for it.
