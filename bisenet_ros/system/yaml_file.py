"""YAML as people write it by hand: a name given twice is an error, not a win of the last."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from bisenet_ros.errors import DataError


class _Loader(yaml.SafeLoader):
    """Refuses a mapping that has one key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # refused below
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"line {line} gives {key!r} a second time")
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML file.

    Raises:
        DataError: it cannot be read, is not YAML or gives a key twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return yaml.load(text, Loader=_Loader)  # noqa: S506 a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        what = " ".join(str(error).split())
        raise DataError(f"{path} is not valid YAML: {what}") from error
