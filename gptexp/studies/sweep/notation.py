"""JSON or YAML, as sweep files and parameter files are written."""

from __future__ import annotations

import json
from typing import Any

import yaml

from gptexp.errors import GptexpError


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        _refuse_twice(key for key in keys if key != "<<")
        return super().construct_mapping(node, deep)


def read_notation(text: str) -> Any:
    """What a text says in JSON, or else in YAML.

    YAML takes nearly all JSON, but reads 1e-5 as a text, and half of an emoji's escape as a letter.

    Raises:
        ValueError: it is neither.
        GptexpError: a key is there twice, of which the first would be passed over.
    """
    try:
        return json.loads(text, object_pairs_hook=_make_mapping)
    except (ValueError, RecursionError):
        pass
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def _make_mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_twice(key for key, _ in pairs)
    return dict(pairs)


def _refuse_twice(keys: Any) -> None:
    seen = set()
    for key in keys:
        if key in seen:
            raise GptexpError(f"the key {key!r} is there twice; leave one of them out")
        seen.add(key)
