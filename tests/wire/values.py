"""What hypothesis draws messages from: any payload with any fields, sizes around the borders of varints."""

from __future__ import annotations

import os
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import settings
from hypothesis import strategies as st

from pyodide_provider.wire import codec

tried = settings(max_examples=int(os.environ.get("WIRE_TEST_EXAMPLES", "100")), deadline=None)
"""How often each property is tried; the run in pure Python takes fewer."""
BORDERS = [0, 1, *(border + step for border in (2**7, 2**14, 2**21) for step in range(-70, 3, 8)), 2**7, 2**14, 2**21]

SEQUENCES = st.integers(0, 2**64 - 1) | st.sampled_from([b + s for b in (2**7, 2**14, 2**21, 2**63) for s in (-1, 0, 1)])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
BYTES_AT_BORDERS = st.binary(max_size=20) | st.integers(0, 200).map(bytes) | st.integers(16300, 16400).map(bytes)

NUMBERS: dict[int, tuple[int, int]] = {
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
}


def value(field: FieldDescriptor, *, own: bool) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        one: st.SearchStrategy[Any] = st.deferred(lambda: filled(field.message_type, own=own))
    elif field.enum_type is not None:
        one = st.sampled_from([v.number for v in field.enum_type.values])
    elif field.type in NUMBERS:
        one = st.integers(*NUMBERS[field.type])
    elif field.type == FieldDescriptor.TYPE_BOOL:
        one = st.booleans()
    elif field.type == FieldDescriptor.TYPE_FLOAT:
        one = st.floats(width=32, allow_nan=False)
    else:
        one = TEXTS if field.type == FieldDescriptor.TYPE_STRING else BYTES_AT_BORDERS
    return st.lists(one, max_size=3) if field.is_repeated else one


def filled(descriptor: Descriptor, *, own: bool) -> st.SearchStrategy[Message]:
    """A message with some of its fields, at most one of a oneof; without `own`, only those of the public protocol."""
    if descriptor.full_name == "google.protobuf.Timestamp":
        # What JSON can say: years 1 to 9999.
        seconds, nanos = st.integers(-62135596800, 253402300799), st.integers(0, 999_999_999)
        return st.builds(descriptor._concrete_class, seconds=seconds, nanos=nanos)
    fields = {field.name: value(field, own=own) for field in descriptor.fields if own or field.number < 100}

    def make(values: dict[str, Any]) -> Message:
        for group in descriptor.oneofs:
            for extra in [f.name for f in group.fields if f.name in values][1:]:
                del values[extra]
        return descriptor._concrete_class(**values)

    return st.fixed_dictionaries({}, optional=fields).map(make)


MESSAGES: st.SearchStrategy[Message] = st.one_of([filled(cls.DESCRIPTOR, own=True) for cls in codec.PAYLOADS.values()])
PUBLIC: st.SearchStrategy[Message] = st.one_of([filled(cls.DESCRIPTOR, own=False) for cls in codec.PAYLOADS.values()])
