"""How messages lie in a row group: as a Parquet dictionary, in an order that compresses well.

Few messages come twice, so this is not about repetition. A dictionary may list its values in any order,
and the row's number in it costs 13 bits for 8,192 rows; messages of one template side by side, those of
one length together, save zstd three bytes a line. Every reader of Parquet gives the messages in the
order of their rows (`docs/decisions/021-messages-in-order.md`).
"""

from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

MESSAGE_TYPE = pa.dictionary(pa.int32(), pa.string())
# Bytes that tell one template from another: 2 to 6 do equally well.
PREFIX_BYTES = 4

_Messages: TypeAlias = "pa.DictionaryArray[Any, Any]"


def in_dictionary(messages: "pa.ChunkedArray[Any]") -> _Messages:
    """The messages of one row group, their dictionary ordered by (first bytes, length, message)."""
    coded: Any = pc.dictionary_encode(messages.combine_chunks())
    values = coded.dictionary
    as_bytes = values.cast(pa.binary())
    order = pc.sort_indices(
        pa.table(
            {
                "prefix": pc.binary_slice(as_bytes, 0, PREFIX_BYTES),
                "length": pc.binary_length(as_bytes),
                "message": as_bytes,
            }
        ),
        sort_keys=[("prefix", "ascending"), ("length", "ascending"), ("message", "ascending")],
    )
    # Where each value went to: the inverse of the permutation.
    places = pc.sort_indices(order).cast(pa.int32())
    return pa.DictionaryArray.from_arrays(places.take(coded.indices), values.take(order))
