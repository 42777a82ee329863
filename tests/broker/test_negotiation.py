"""What clients accept: sense and nonsense in Accept and Accept-Encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.negotiation import encoding, wants_json, wants_page, weights

BOTH = ("br", "gzip")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip;q=0.5, br;q=1", {"gzip": 0.5, "br": 1.0}),
        ("GZIP ; Q=0.5", {"gzip": 0.5}),
        ("a;q=2, b;q=-1, c;q=x, d;q=nan, e;q=inf", {"a": 0, "b": 0, "c": 0, "d": 0, "e": 0}),
        ("text/html;level=1;q=0.3", {"text/html": 0.3}),
        (",,;q=1,", {}),
    ],
)
def test_weights(header: str, expected: dict[str, float]):
    assert weights(header) == expected


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("*;q=0.3", "br"),
        ("*;q=0", ""),
        ("gzip;q=0.001", "gzip"),
        ("br;q=0.2, gzip;q=0.2", "br"),
        ("identity;q=0", ""),
        ("*;q=0.5, gzip", "gzip"),
    ],
)
def test_encoding(header: str, coding: str):
    assert encoding(header, BOTH) == coding


def test_only_what_is_there_is_chosen():
    assert encoding("br, gzip;q=0.1", ["gzip"]) == "gzip"
    assert encoding("br, gzip", []) == ""
    assert encoding("*;q=0.5, gzip;q=0.3", ["gzip"]) == "", "the plain form is liked better"


@given(st.text(max_size=200))
def test_any_header_gives_an_answer(header: str):
    assert encoding(header, BOTH) in ("", *BOTH)
    wants_json(header)
    wants_page(header)


@pytest.mark.parametrize(
    ("accept", "json", "page"),
    [
        (None, False, False),
        ("*/*", False, False),
        ("application/json", True, False),
        ("application/json;q=0", False, False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False, True),
    ],
)
def test_who_wants_what(accept: str | None, json: bool, page: bool):
    assert (wants_json(accept), wants_page(accept)) == (json, page)
