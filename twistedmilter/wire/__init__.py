"""Sans-IO codecs: octets in, values out; nothing here knows a transport, a clock or a reactor."""
