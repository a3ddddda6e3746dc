"""Parses sweep files and parameter files, which are JSON or YAML."""

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
    """Parse a text as JSON, or if that fails as YAML.

    JSON is tried first although YAML accepts nearly all of it: YAML reads 1e-5 as text, and reads the two halves of an
    emoji's JSON escape as two characters.

    Raises:
        ValueError: it is neither JSON nor YAML.
        GptexpError: a mapping has the same key twice, so that one value would be lost.
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
