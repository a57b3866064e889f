"""Numbers in the 38 characters that survive in a local part, in a DNS label and in either case (spec 3.1)."""

from __future__ import annotations

from typing import Final

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
_VALUES: Final = {char: value for value, char in enumerate(ALPHABET)}


def encode(number: int) -> str:
    """The number, most significant digit first; 0 is the empty text. @param number: not negative."""
    digits = []
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def decode(text: str) -> int:
    """The number that L{encode} wrote, in either case.

    @raise ValueError: another character, or a digit 0 in front, that would be a second spelling.
    """
    upper = text.upper()
    if not text.isascii() or not all(char in _VALUES for char in upper) or upper.startswith(ALPHABET[0]):
        raise ValueError("not a number in base 38")
    number = 0
    for char in upper:
        number = number * len(ALPHABET) + _VALUES[char]
    return number
