"""Which row groups of a segment may hold a text, without reading them.

Text is indexed by 4-grams: four ASCII letters, digits or underscores in a row, in lower case. Of each row
group a *bit set* of its grams is kept, a gram's slot given by one hash, in two areas: grams of hexadecimal
digits alone, which ids have in plenty (2^15 slots, about two fifths of them set by 8,192 lines with
ids), and all others, words above all, which are few and the same in most row groups (2^16 slots, a
hundredth set, which compress to nearly nothing). Grams of decimal digits alone say nothing, since every
row group has nearly all of them, and are left out.

Only grams at even places of the joined text are kept, which halves bytes and CPU: where a term begins at
an even place its even grams must be there, else its odd ones. So a term is answered "maybe" when its
even grams are all there or its odd ones are.

There is never a "no" for a row group with a match: `contains(lower(text), lower(term))` of DuckDB. Only
the ASCII parts of a term are looked at. Parts on both sides of a character beyond ASCII may lie at other
distances in a text, and parts on both sides of a space even in other columns, so each counts for itself.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

GRAM = 4
HEX_BITS = 15
WORD_BITS = 16
# Of one part of a term: more cost more than they tell.
MAX_PROBES = 12

# What a character is: 0-9, a-f and A-F as 0x2_, other letters and the underscore as 0x4_ or 0x5_; the rest
# is not indexed.
_OTHER = 0x80
_LETTER = 0x40
_HEX_LETTER = 0x20


def _codes() -> bytes:
    codes = bytearray([_OTHER]) * 256
    for value, character in enumerate(b"0123456789"):
        codes[character] = value
    for value, character in enumerate(b"abcdefghijklmnopqrstuvwxyz_"):
        code = value | (_HEX_LETTER if character <= ord("f") and character != ord("_") else _LETTER)
        codes[character] = code
        codes[ord(chr(character).upper())] = code
    return bytes(codes)


_CODES = _codes()
_WORD = pa.uint32()
# Spreads the 4-grams of hexadecimal digits over the slots more evenly than most.
_MULTIPLIER = 0xA11D459B


def _mask(code: int) -> Any:
    return pa.scalar(code * 0x01010101, _WORD)


_IS_OTHER, _IS_LETTER, _IS_HEX_LETTER = _mask(_OTHER), _mask(_LETTER), _mask(_HEX_LETTER)
_ZERO = pa.scalar(0, _WORD)
_FACTOR = pa.scalar(_MULTIPLIER, _WORD)


@dataclass(frozen=True, slots=True)
class Grams:
    """The bit sets of one row group: bit `slot` is bit `slot % 8` of byte `slot // 8`."""

    hexadecimal: bytes
    words: bytes


@dataclass(frozen=True, slots=True)
class Probe:
    """A gram whose slot must be set: whether it is of words, and its hash of 32 bits."""

    word: bool
    hashed: int

    def slot(self, bits: int) -> int:
        """Its slot among 2^`bits`."""
        return self.hashed >> (32 - bits)


# All of one of these must be set; an empty list is no condition.
Part: TypeAlias = list[list[Probe]]


def grams_of(lines: pa.Table) -> Grams:
    """The grams of the messages and logger names of some lines."""
    names: Any = pc.unique(lines.column("name"))
    texts = [*lines.column("message").chunks, names]
    joined = b"\n".join(_joined(text) for text in texts if len(text))
    if not joined.isascii():
        # Two characters beyond ASCII have lower case in it: the Kelvin sign and the dotted capital I.
        joined = pc.utf8_lower(pa.scalar(joined.decode(), pa.large_string())).as_py().encode()
    codes = joined.translate(_CODES)
    hexadecimal: list[pa.Array[Any]] = []
    words: list[pa.Array[Any]] = []
    for start in (0, GRAM // 2):
        count = max(0, len(codes) - start) // GRAM
        grams = pa.Array.from_buffers(_WORD, count, [None, pa.py_buffer(codes).slice(start)])
        grams = grams.filter(pc.equal(pc.bit_wise_and(grams, _IS_OTHER), _ZERO))
        without_letters = pc.equal(pc.bit_wise_and(grams, _IS_LETTER), _ZERO)
        words.append(_slots(grams.filter(pc.invert(without_letters)), WORD_BITS))
        digits = grams.filter(without_letters)
        with_hex = pc.not_equal(pc.bit_wise_and(digits, _IS_HEX_LETTER), _ZERO)
        hexadecimal.append(_slots(digits.filter(with_hex), HEX_BITS))
    return Grams(hexadecimal=_bit_set(hexadecimal, HEX_BITS), words=_bit_set(words, WORD_BITS))


def parts_of(term: str) -> list[Part]:
    """What the index knows of a term; row groups for which a part is not met cannot hold it."""
    return [part for chunk in _ASCII.findall(term) if all(part := _part(chunk))]


_ASCII = re.compile(r"[\x00-\x1f\x21-\x7f]+")


def _part(text: str) -> Part:
    codes = text.encode().translate(_CODES)
    alternatives: Part = []
    for first in (0, 1):
        places = range(first, len(codes) - GRAM + 1, GRAM // 2)
        probes = list(dict.fromkeys(_probes(codes[place : place + GRAM] for place in places)))
        # Those of words say most.
        probes.sort(key=lambda probe: not probe.word)
        alternatives.append(probes[:MAX_PROBES])
    return alternatives


def _probes(grams: Iterable[bytes]) -> Iterator[Probe]:
    for gram in grams:
        kinds = 0
        for code in gram:
            kinds |= code
        if not kinds & _OTHER and kinds & (_LETTER | _HEX_LETTER):
            hashed = int.from_bytes(gram, "little") * _MULTIPLIER & 0xFFFFFFFF
            yield Probe(bool(kinds & _LETTER), hashed)


def _joined(texts: "pa.Array[Any]") -> bytes:
    whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    joined: Any = pc.binary_join(whole, "\n")
    return joined[0].as_buffer().to_pybytes()


def _slots(grams: "pa.Array[Any]", bits: int) -> "pa.Array[Any]":
    return pc.shift_right(pc.multiply(grams, _FACTOR), pa.scalar(32 - bits, _WORD)).view(pa.int32())


def _bit_set(slots: "list[pa.Array[Any]]", bits: int) -> bytes:
    size = 1 << bits
    together = pa.concat_arrays(slots)
    # A place is valid where some slot points to it, so the validity bitmap is the bit set.
    # The stubs of pyarrow do not know it.
    places = pc.inverse_permutation(  # pyrefly: ignore[missing-attribute]
        together, max_index=size - 1
    )
    if places.null_count == 0:
        return b"\xff" * (size // 8)
    if places.null_count == size:
        return bytes(size // 8)
    validity = places.buffers()[0]
    if validity is None:
        raise ValueError("Arrow gave no validity bitmap")
    return validity.to_pybytes()[: size // 8]
