"""YAML as people write it by hand: a name given twice is an error, not a win of the last."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from bisenet_ros.errors import DataError
from bisenet_ros.system.paths import check_regular

MAX_BYTES = 1 << 20  # a list of a thousand classes has a tenth of it


class _Loader(yaml.SafeLoader):
    """Refuses a mapping that has one key twice, and aliases.

    A few aliases of aliases stand for a structure of any size, which whoever prints it in an error
    would have to walk through.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            line = event.start_mark.line + 1
            raise yaml.YAMLError(f"line {line} has the alias *{event.anchor}; write the value out")
        return super().compose_node(parent, index)

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
        DataError: it cannot be read, is larger than ``MAX_BYTES``, is not YAML, gives a key twice
            or has aliases.
    """
    path = Path(path)
    try:
        check_regular(path)
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DataError(f"{path} has {size} bytes; expected at most {MAX_BYTES}")
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not UTF-8: {error}"
        raise DataError(f"{path} cannot be read: {reason}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date with a month 13
        what = " ".join(str(error).split())
        raise DataError(f"{path} is not valid YAML: {what}") from error
    except RecursionError as error:
        raise DataError(f"{path} is not valid YAML here: it is nested too deep") from error
