"""YAML of others: read, or refused in one line, soon."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisenet_ros.errors import DataError
from bisenet_ros.system.yaml_file import MAX_BYTES, read_yaml

# Nine levels of nine: printing it would take 9⁹ words.
BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


def test_plain_yaml_is_read(tmp_path):
    (tmp_path / "a.yaml").write_text("classes: [{name: ä, color: [1, 2, 3]}]\nrate: 1.5\n")
    assert read_yaml(tmp_path / "a.yaml") == {
        "classes": [{"name": "ä", "color": [1, 2, 3]}],
        "rate": 1.5,
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB.encode(), r"line 2 has the alias \*a0; write the value out"),
        (b"&a [*a]", "alias"),
        (b"[" * 5000, "nested too deep"),
        (b"names: \xff\xfe", "cannot be read: not UTF-8"),
        (b"a: 1\na: 2", "line 2 gives 'a' a second time"),
        (b"a: [", "not valid YAML"),
        (b"a: \x00", "not valid YAML"),
        (b"a: 2020-13-45", "not valid YAML"),
        (b"!!python/object/apply:os.system [ls]", "not valid YAML"),
        (b" " * (MAX_BYTES + 1), "expected at most"),
    ],
)
def test_bad_yaml_is_refused_in_one_line(tmp_path, content, said):
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(DataError, match=f"a.yaml.*{said}") as caught:
        read_yaml(tmp_path / "a.yaml")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(DataError, match=r"a\.yaml is a pipe"):
        read_yaml(tmp_path / "a.yaml")


@given(
    content=st.one_of(
        st.binary(max_size=80), st.text(st.characters(codec="utf-8"), max_size=80).map(str.encode)
    )
)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = Path(tmp_path_factory.getbasetemp()) / "any.yaml"
    path.write_bytes(content)
    try:
        read_yaml(path)
    except DataError as error:
        assert "\n" not in str(error)
