"""Byte vectors of milter-spec section 7, as octets; the ids are those of the specification."""

from __future__ import annotations

from typing import Final

VECTORS: Final = {
    # optneg v6, actions 0x1ff, protocol 0x1fffff (what both MTAs really send)
    "V01": bytes.fromhex("0000000d4f00000006000001ff001fffff"),
    # optneg v2, 0x3f, 0x7f
    "V02": bytes.fromhex("0000000d4f000000020000003f0000007f"),
    # optneg v6 with MDS_256K offered (go-milter / FFR build)
    "V03": bytes.fromhex("0000000d4f00000006000001ff101fffff"),
    # macros for C: j, {daemon_addr}
    "V04": bytes.fromhex(
        "0000003444436a006d79686f73742e7375622e6578616d706c652e636f6d007b6461656d6f6e5f616464727d00313732"
        "2e31372e302e3200"
    ),
    # macros for H, empty list
    "V05": bytes.fromhex("000000024448"),
    # macros for E: i
    "V06": bytes.fromhex("0000001444456900346a59664b79347a42477a4c38516a00"),
    # macros for M with two empty values
    "V07": bytes.fromhex("00000012444d6900007b617574685f747970657d0000"),
    # host "[172.17.0.1]", inet, 49974, 172.17.0.1
    "V08": bytes.fromhex("0000001c435b3137322e31372e302e315d0034c3363137322e31372e302e3100"),
    # host "[127.0.0.1]", inet, 59014, 127.0.0.1 (Postfix capture)
    "V09": bytes.fromhex("0000001a435b3132372e302e302e315d0034e6863132372e302e302e3100"),
    # inet6 without prefix (Postfix)
    "V10": bytes.fromhex(
        "00000034435b323630373a663862303a343836343a32303a3a3734385d0036a316323630373a663862303a343836343a"
        "32303a3a37343800"
    ),
    # inet6 with prefix (sendmail), address 2001:db8::1
    "V11": bytes.fromhex("00000022436d61696c2e6578616d706c6500360019495076363a323030313a6462383a3a3100"),
    # unix client, path /run/mysock
    "V12": bytes.fromhex("000000124368004c00002f72756e2f6d79736f636b00"),
    # family unknown, nothing follows
    "V13": bytes.fromhex("0000000c436c6f63616c686f73740055"),
    # Postfix with unavailable client address: keep text, no IP
    "V14": bytes.fromhex("0000001443756e6b6e6f776e00340401756e6b6e6f776e00"),
    # HELO client.test.invalid
    "V15": bytes.fromhex("0000001548636c69656e742e746573742e696e76616c696400"),
    # MAIL, args SIZE=1000 BODY=8BITMIME
    "V16": bytes.fromhex(
        "0000002e4d3c61407372632e746573742e696e76616c69643e0053495a453d3130303000424f44593d384249544d494d4500"
    ),
    # MAIL, null sender, no args
    "V17": bytes.fromhex("000000044d3c3e00"),
    # MAIL with two args
    "V18": bytes.fromhex("0000001f4d3c6740673372742e6e6c3e00464f4f3d4241520053495a453d3132333400"),
    # MAIL arg with two = and a valueless arg
    "V19": bytes.fromhex("0000001d4d3c6140623e00454e5649443d783d792b334400534d54505554463800"),
    # RCPT, arg NOTIFY=NEVER
    "V20": bytes.fromhex("00000023523c62406473742e746573742e696e76616c69643e004e4f544946593d4e4556455200"),
    # RCPT without angle brackets (Postfix local submission)
    "V21": bytes.fromhex("000000145262406473742e746573742e696e76616c696400"),
    # DATA
    "V22": bytes.fromhex("0000000154"),
    # header From
    "V23": bytes.fromhex("000000264c46726f6d00446973706c6179204e616d65203c75736572406578616d706c652e636f6d3e00"),
    # header with empty value
    "V24": bytes.fromhex("0000000a4c582d456d7074790000"),
    # folded header, LF folds
    "V25": bytes.fromhex("000000284c582d466f6c64006c696e65206f6e650a20206c696e652074776f0a096c696e6520746872656500"),
    # HDR_LEADSPC or a second blank: value keeps leading space
    "V26": bytes.fromhex("000000154c5375626a656374002074776f2073706163657300"),
    # 8-bit value, not valid UTF-8
    "V27": bytes.fromhex("000000104c582d3862697400636166c3a920ff00"),
    # end of headers
    "V28": bytes.fromhex("000000014e"),
    # body chunk, CRLF
    "V29": bytes.fromhex("0000001b42626f6479206c696e6520310d0a626f6479206c696e6520320d0a"),
    # body chunk NUL, 0xff, CR split from its LF
    "V31": bytes.fromhex("000000044200ff0d"),
    # end of message
    "V32": bytes.fromhex("0000000145"),
    # end of message carrying a last chunk
    "V33": bytes.fromhex("00000007457461696c0d0a"),
    # abort
    "V34": bytes.fromhex("0000000141"),
    # quit
    "V35": bytes.fromhex("0000000151"),
    # quit, new connection follows
    "V36": bytes.fromhex("000000014b"),
    # unknown command line
    "V37": bytes.fromhex("0000000d55464f4f206261722062617a00"),
    # MAIL with empty address string and no brackets: null sender, Postfix non_smtpd_milters
    "V38": bytes.fromhex("000000024d00"),
    # macros for M, last value empty (Postfix, null sender)
    "V39": bytes.fromhex("00000021444d6900346a59665667335078317a4a6d666e007b6d61696c5f616464727d0000"),
    # answer: all actions, want every event with reply
    "V40": bytes.fromhex("0000000d4f00000006000001ff00000000"),
    # answer with three macro lists
    "V41": bytes.fromhex("000000274f0000000600000100000ff7ff000000056900000000006a207b6d797d00000000017b6d797d00"),
    # answer to a v2 MTA
    "V42": bytes.fromhex("0000000d4f000000020000003f00000000"),
    # answer: only E wanted; lists for stage 5 and 6 alike (sendmail quirk)
    "V43": bytes.fromhex(
        "0000002b4f00000006000001310000037f0000000569207b6d73675f69647d000000000669207b6d73675f69647d00"
    ),
    # continue
    "V44": bytes.fromhex("0000000163"),
    # accept
    "V45": bytes.fromhex("0000000161"),
    # reject
    "V46": bytes.fromhex("0000000172"),
    # tempfail
    "V47": bytes.fromhex("0000000174"),
    # discard
    "V48": bytes.fromhex("0000000164"),
    # skip
    "V49": bytes.fromhex("0000000173"),
    # progress
    "V50": bytes.fromhex("0000000170"),
    # reply 571 5.7.1 "foobar"
    "V51": bytes.fromhex("000000127935373120352e372e3120666f6f62617200"),
    # three-line reply
    "V52": bytes.fromhex(
        "00000035793535302d352e372e312052656a6563740d0a3535302d352e372e3120746869730d0a35353020352e372e31"
        "206d65737361676500"
    ),
    # text "100% spam": % doubled on the wire
    "V53": bytes.fromhex("000000167935353020352e372e31203130302525207370616d00"),
    # 421: MTA closes the SMTP session
    "V54": bytes.fromhex("000000137934323120342e332e3220636c6f73696e6700"),
    # add header
    "V55": bytes.fromhex("0000000968466f6f0042617200"),
    # add header when HDR_LEADSPC was negotiated
    "V56": bytes.fromhex("0000000b68582d5370002042617200"),
    # add folded header, LF + TAB
    "V57": bytes.fromhex(
        "0000002a68444b494d2d5369676e617475726500763d313b20613d7273612d7368613235363b0a09623d61626300"
    ),
    # insert at 0: above the MTA own Received
    "V58": bytes.fromhex("0000001469000000005265636569766564006279206d6500"),
    # insert at 123
    "V59": bytes.fromhex("0000000d690000007b466f6f0042617200"),
    # change 1st Subject
    "V60": bytes.fromhex("000000136d000000015375626a6563740076616c756500"),
    # delete 2nd X-Dup
    "V61": bytes.fromhex("0000000c6d00000002582d4475700000"),
    # change sender
    "V62": bytes.fromhex("00000018653c6e6577407372632e746573742e696e76616c69643e00"),
    # change sender to null with args (go-milter)
    "V63": bytes.fromhex("00000008653c3e00413d4200"),
    # add recipient
    "V64": bytes.fromhex("0000001a2b3c6578747261406473742e746573742e696e76616c69643e00"),
    # add recipient with args
    "V65": bytes.fromhex("00000025323c706172406473742e746573742e696e76616c69643e004e4f544946593d4e4556455200"),
    # several args: one string, blank separated
    "V66": bytes.fromhex(
        "0000002f3270757265707974686f6e6d696c746572406765727476616e64696a6b2e6e6c00464f4f3d424152204c4f52454d00"
    ),
    # delete recipient
    "V67": bytes.fromhex("000000162d3c63406473742e746573742e696e76616c69643e00"),
    # replace body chunk
    "V68": bytes.fromhex("0000000762666f6f626172"),
    # replace body by nothing
    "V69": bytes.fromhex("0000000162"),
    # quarantine
    "V71": bytes.fromhex("0000000871726561736f6e00"),
    # shutdown (never send; client must cope)
    "V72": bytes.fromhex("0000000134"),
    # conn fail (never send; client must treat as error)
    "V73": bytes.fromhex("0000000166"),
}
"""V01 to V73 without the two largest frames, which tests build."""

MALFORMED: Final = {
    # length 0
    "X1": bytes.fromhex("00000000"),
    # length 4294967295
    "X2": bytes.fromhex("ffffffff4f"),
    # length 65537 with no MDS
    "X3": bytes.fromhex("0001000142"),
    # "GET / HTTP/1.0": length 0x47455420
    "X4": bytes.fromhex("474554202f20485454502f312e300d0a0d0a"),
    # TLS ClientHello: length 0x16030100
    "X5": bytes.fromhex("16030100c8010000c40303"),
    # optneg payload 4 bytes
    "X6": bytes.fromhex("000000054f00000006"),
    # optneg version 1
    "X7": bytes.fromhex("0000000d4f00000001000001ff001fffff"),
    # optneg version 0x80000000
    "X8": bytes.fromhex("0000000d4f80000000000001ff001fffff"),
    # connect without NUL
    "X9": bytes.fromhex("0000001143686f73742d776974686f75742d6e756c"),
    # connect without family
    "X10": bytes.fromhex("00000003436800"),
    # connect: port cut
    "X11": bytes.fromhex("000000054368003400"),
    # address without NUL
    "X12": bytes.fromhex("0000000f4368003430393132372e302e302e31"),
    # family "9"
    "X13": bytes.fromhex("000000104368003930393132372e302e302e3100"),
    # HELO empty payload
    "X14": bytes.fromhex("0000000148"),
    # HELO without NUL
    "X15": bytes.fromhex("000000024878"),
    # MAIL empty payload
    "X16": bytes.fromhex("000000014d"),
    # RCPT without NUL
    "X17": bytes.fromhex("00000006523c6140623e"),
    # header with one string
    "X18": bytes.fromhex("000000064c4e616d6500"),
    # header value without NUL
    "X19": bytes.fromhex("0000000b4c4e616d650076616c7565"),
    # header with empty name
    "X20": bytes.fromhex("000000044c007600"),
    # macro frame without stage byte
    "X21": bytes.fromhex("0000000144"),
    # macro list with an odd number of strings: ignore the frame, warn
    "X22": bytes.fromhex("00000004444d6900"),
    # macro value without NUL: ignore the frame, warn
    "X23": bytes.fromhex("00000007444d6900616263"),
    # unknown command
    "X24": bytes.fromhex("000000015a"),
    # DATA with payload: ignore the payload
    "X25": bytes.fromhex("000000025478"),
    # unknown-command text without NUL: accept the bytes
    "X26": bytes.fromhex("000000025578"),
}
"""X1 to X26."""

POSTFIX: Final = (
    (">", bytes.fromhex("0000000d4f00000006000001ff001fffff")),
    ("<", bytes.fromhex("0000000d4f000000060000001100000080")),
    (
        ">",
        bytes.fromhex(
            "0000007144436a006d782e746573742e696e76616c6964007b6461656d6f6e5f6e616d657d006d782e746573742e696e"
            "76616c6964007b6461656d6f6e5f616464727d003132372e302e302e31007600506f737466697820332e372e3131005f"
            "00756e6b6e6f776e205b3132372e302e302e315d00"
        ),
    ),
    (">", bytes.fromhex("0000001a435b3132372e302e302e315d0034ae643132372e302e302e3100")),
    ("<", bytes.fromhex("0000000163")),
    (">", bytes.fromhex("000000024448")),
    (">", bytes.fromhex("0000001048632e746573742e696e76616c696400")),
    ("<", bytes.fromhex("0000000163")),
    (
        ">",
        bytes.fromhex(
            "00000052444d7b6d61696c5f616464727d0061407372632e746573742e696e76616c6964007b6d61696c5f686f73747d"
            "005b3132372e302e302e315d3a3132353236007b6d61696c5f6d61696c65727d00736d747000"
        ),
    ),
    (">", bytes.fromhex("0000001f4d3c61407372632e746573742e696e76616c69643e0053495a453d31303000")),
    ("<", bytes.fromhex("0000000163")),
    (
        ">",
        bytes.fromhex(
            "0000005244527b726370745f616464727d0062406473742e746573742e696e76616c6964007b726370745f686f73747d"
            "005b3132372e302e302e315d3a3132353236007b726370745f6d61696c65727d00736d747000"
        ),
    ),
    (">", bytes.fromhex("00000025523c62406473742e746573742e696e76616c69643e004e4f544946593d4641494c55524500")),
    ("<", bytes.fromhex("0000000163")),
    (">", bytes.fromhex("0000001444546900346a5966577a3644376b7a4a6d673100")),
    (">", bytes.fromhex("0000000154")),
    ("<", bytes.fromhex("0000000163")),
    (">", bytes.fromhex("00000014444c6900346a5966577a3644376b7a4a6d673100")),
    (">", bytes.fromhex("0000000c4c5375626a65637400686900")),
    (">", bytes.fromhex("00000014444c6900346a5966577a3644376b7a4a6d673100")),
    (">", bytes.fromhex("000000114c582d466f6c64006f6e650a2074776f00")),
    (">", bytes.fromhex("00000014444c6900346a5966577a3644376b7a4a6d673100")),
    (
        ">",
        bytes.fromhex(
            "0000002e4c4d6573736167652d4964003c346a5966577a3644376b7a4a6d6731406d782e746573742e696e76616c69643e00"
        ),
    ),
    (">", bytes.fromhex("00000014444c6900346a5966577a3644376b7a4a6d673100")),
    (
        ">",
        bytes.fromhex(
            "0000002c4c44617465005475652c203234204e6f7620323032362031303a34323a3233202b3030303020285554432900"
        ),
    ),
    (">", bytes.fromhex("00000014444c6900346a5966577a3644376b7a4a6d673100")),
    (">", bytes.fromhex("000000194c46726f6d0061407372632e746573742e696e76616c696400")),
    (">", bytes.fromhex("00000014444e6900346a5966577a3644376b7a4a6d673100")),
    (">", bytes.fromhex("000000014e")),
    ("<", bytes.fromhex("0000000163")),
    (">", bytes.fromhex("0000001444426900346a5966577a3644376b7a4a6d673100")),
    (">", bytes.fromhex("0000000742626f64790d0a")),
    ("<", bytes.fromhex("0000000163")),
    (">", bytes.fromhex("0000001444456900346a5966577a3644376b7a4a6d673100")),
    (">", bytes.fromhex("0000000145")),
    ("<", bytes.fromhex("0000000d68582d41646465640079657300")),
    ("<", bytes.fromhex("000000106d000000015375626a65637400686f00")),
    ("<", bytes.fromhex("0000000163")),
    (">", bytes.fromhex("0000000141")),
    (">", bytes.fromhex("0000000141")),
    (">", bytes.fromhex("0000000151")),
)
"""The transcript of 7.5 with Postfix: C{>} is the MTA, C{<} the filter."""

SENDMAIL: Final = (
    (">", bytes.fromhex("0000000d4f00000006000001ff001fffff")),
    ("<", bytes.fromhex("0000000d4f000000060000001100000080")),
    (
        ">",
        bytes.fromhex(
            "0000005e44436a006d782e746573742e696e76616c6964005f006d782e746573742e696e76616c6964205b3132372e30"
            "2e302e315d007b6461656d6f6e5f6e616d657d004d5441007b69665f6e616d657d006d782e746573742e696e76616c69"
            "6400"
        ),
    ),
    (">", bytes.fromhex("0000001e436d782e746573742e696e76616c6964003481a83132372e302e302e3100")),
    ("<", bytes.fromhex("0000000163")),
    (">", bytes.fromhex("000000024448")),
    (">", bytes.fromhex("0000001048632e746573742e696e76616c696400")),
    ("<", bytes.fromhex("0000000163")),
    (
        ">",
        bytes.fromhex(
            "0000005e444d690036414f41674f5043303034323238007b6d61696c5f6d61696c65727d0072656c6179007b6d61696c"
            "5f686f73747d005b3132372e302e302e315d007b6d61696c5f616464727d0061407372632e746573742e696e76616c69"
            "6400"
        ),
    ),
    (">", bytes.fromhex("0000001f4d3c61407372632e746573742e696e76616c69643e0053495a453d31303000")),
    ("<", bytes.fromhex("0000000163")),
    (
        ">",
        bytes.fromhex(
            "0000004d44527b726370745f6d61696c65727d0072656c6179007b726370745f686f73747d005b3132372e302e302e31"
            "5d007b726370745f616464727d0062406473742e746573742e696e76616c696400"
        ),
    ),
    (">", bytes.fromhex("00000025523c62406473742e746573742e696e76616c69643e004e4f544946593d4641494c55524500")),
    ("<", bytes.fromhex("0000000163")),
    (">", bytes.fromhex("0000000154")),
    ("<", bytes.fromhex("0000000163")),
    (">", bytes.fromhex("0000000c4c5375626a65637400686900")),
    (">", bytes.fromhex("000000114c582d466f6c64006f6e650a2074776f00")),
    (">", bytes.fromhex("000000014e")),
    ("<", bytes.fromhex("0000000163")),
    (">", bytes.fromhex("0000000742626f64790d0a")),
    ("<", bytes.fromhex("0000000163")),
    (
        ">",
        bytes.fromhex(
            "0000003944457b6d73675f69647d003c3230323631313234313034322e36414f41674f5043303034323238406d782e74"
            "6573742e696e76616c69643e00"
        ),
    ),
    (">", bytes.fromhex("0000000145")),
    ("<", bytes.fromhex("0000000d68582d41646465640079657300")),
    ("<", bytes.fromhex("000000106d000000015375626a65637400686f00")),
    ("<", bytes.fromhex("0000000163")),
    (">", bytes.fromhex("0000000151")),
)
"""The transcript of 7.5 with Sendmail: C{>} is the MTA, C{<} the filter."""
