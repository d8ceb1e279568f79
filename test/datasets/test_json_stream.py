"""JSON entry by entry, wherever the blocks end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bisenet_ros.datasets import json_stream
from bisenet_ros.datasets.json_stream import elements, entries, load, load_entry
from bisenet_ros.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
ANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=[3, 64, 1 << 20])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(json_stream, "BLOCK", request.param)
    return request.param


@ANY
@given(values=st.lists(VALUES, max_size=6), ascii_=st.booleans(), indent=st.sampled_from([None, 1]))
def test_lists_as_json_reads_them(
    tmp_path: Path, blocks: int, values: list[Any], ascii_: bool, indent: int | None
):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(values, ensure_ascii=ascii_, indent=indent), encoding="utf-8")
    found = list(elements(path))
    assert [value for _, value in found] == values
    assert [load_entry(path, span) for span, _ in found] == values


@ANY
@given(data=st.dictionaries(st.text(max_size=6), VALUES, max_size=5), mark=st.booleans())
def test_objects_as_json_reads_them(tmp_path: Path, blocks: int, data: dict[str, Any], mark: bool):
    path = tmp_path / "a.json"
    text = json.dumps(data, ensure_ascii=False)
    path.write_text(text, encoding="utf-8-sig" if mark else "utf-8")
    expected = [
        (key, one)
        for key, value in data.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    found = list(entries(path))
    assert [(key, value) for key, _, value in found] == expected
    assert [load_entry(path, span) for _, span, _ in found] == [value for _, value in expected]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[1",
        "[1,",
        "[1 2]",
        "[1]]",
        "{",
        "nothing",
        '["a]',
        "[1,]",
        "[tru]",
        "\x00",
        "[\xff]",
    ],
)
def test_what_is_no_list(tmp_path: Path, blocks: int, text: str):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"a.json is not JSON as expected: .* at byte \d+"):
        list(elements(path))


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", '{"a"}', '{"a":}', '{"a": 1,}', "{1: 2}", '{"a": [1}']
)
def test_what_is_no_object(tmp_path: Path, blocks: int, text: str):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match="a.json is not JSON as expected"):
        list(entries(path))


def test_text_that_is_not_utf_8(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_bytes(b'[1, "\xff"]')
    with pytest.raises(DataError, match="not UTF-8.* at byte"):
        list(elements(path))
    with pytest.raises(DataError, match="a.json is not JSON"):
        load(path)


def test_entries_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(json_stream, "BLOCK", 64)
    monkeypatch.setattr(json_stream, "LARGEST_ENTRY", 1000)
    path = tmp_path / "a.json"
    path.write_text(json.dumps([1, "a" * 3000]))
    with pytest.raises(DataError, match="an entry of more than"):
        list(elements(path))
    with pytest.raises(DataError, match="a.json has 0 MiB; expected 0 at most"):
        load(path, 100)


def test_depth_without_end(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text("[" * 200_000 + "]" * 200_000)
    for read in (lambda: load(path), lambda: list(elements(path))):
        with pytest.raises(DataError, match="a.json is not JSON"):
            read()


def test_files_that_are_not_there_or_change(tmp_path: Path):
    path = tmp_path / "a.json"
    for read in (lambda: load(path), lambda: list(elements(path))):
        with pytest.raises(DataError, match="a.json cannot be read: No such file"):
            read()
    path.write_text('[{"a": 1}, {"b": 2}]')
    (span, _), _ = elements(path)
    path.write_text("[]")
    with pytest.raises(DataError, match="was changed while it was in use"):
        load_entry(path, span)
