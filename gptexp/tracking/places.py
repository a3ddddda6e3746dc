"""Removes folder names from records before they are published."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gptexp.identity import short_hash
from gptexp.text import hide_paths, hide_paths_in
from gptexp.version import DECIDE_NOTHING

MARK = re.compile(r"#[0-9a-f]{6}$")
"""Follows the name of a file whose folders were removed: a hash of its full path."""
SOURCE = re.compile(r"^(the file |[\d,]+ text files below the folder )(?=/|~|\\|\.\.|[A-Za-z]:)(?:.*[/\\])")
"""The `source` of a corpus that is a path, up to the last part of the path."""


def publish_variant(variant: Mapping[str, Any] | None) -> dict[str, Any]:
    """The variant without the folders of its corpus; a hash after the name distinguishes files of the same name.

    `{"corpus": "/home/alice/c.txt"}` becomes `{"corpus": "c.txt#3f2a1b"}`. Applying it twice changes nothing more.
    """
    # Until 2026-11-26 a variant also held fields that don't affect the numbers.
    kept = {name: value for name, value in (variant or {}).items() if name not in DECIDE_NOTHING}
    changes = dict(hide_paths_in(kept))
    corpus = kept.get("corpus")
    if isinstance(corpus, str) and (name := name_corpus(corpus)) != corpus:
        changes["corpus"] = f"{name}#{hashlib.sha256(corpus.encode(errors='replace')).hexdigest()[:6]}"
    return changes


def name_variant(variant: Mapping[str, Any]) -> dict[str, Any]:
    """The published variant without the hash mark, so that all files of the same name get the same variant."""
    changes = publish_variant(variant)
    if isinstance(changes.get("corpus"), str):
        changes["corpus"] = MARK.sub("", changes["corpus"])
    return changes


def name_corpus(name: str) -> str:
    """A corpus name for a page. Of a path that starts at a root, a home folder or `..`, only the last part is kept."""
    whole = re.fullmatch(r"(?:[/\\~]|\.\.|[A-Za-z]:).*[/\\]([^/\\]+)[/\\]?", name)
    return whole[1] if whole else hide_paths(name)


def publish_corpus(about: Mapping[str, Any]) -> dict[str, Any]:
    """The `corpus` entry of config.json without folders."""
    shorter = dict(hide_paths_in({name: value for name, value in about.items() if name not in ("name", "source")}))
    for name, shorten in (("name", name_corpus), ("source", hide_source)):
        if name in about:
            shorter[name] = shorten(about[name]) if isinstance(about[name], str) else about[name]
    return {name: shorter[name] for name in about}


def hide_source(source: str) -> str:
    """The source of a corpus without folders, such as `the file c.txt`. Folder names may contain spaces."""
    return hide_paths(SOURCE.sub(r"\1", source))


def publish_config(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of config.json with its corpus named without folders."""
    corpus = content.get("corpus")
    return {**content, "corpus": publish_corpus(corpus)} if isinstance(corpus, dict) else dict(content)


def publish_member(member: Mapping[str, Any]) -> dict[str, Any]:
    """A membership without folders. The arm's name is kept as it is, even if it looks like a path; and so are
    predictions that their hash fits, which were written down without folders (`gptexp.studies.prediction`)."""
    shorter = {**hide_paths_in(dict(member)), "arm": member.get("arm")}
    predictions = member.get("predictions")
    if isinstance(predictions, str) and member.get("prediction_hash") == short_hash(predictions):
        shorter["predictions"] = predictions
    return {
        **shorter,
        "variant": publish_variant(variant if isinstance(variant := member.get("variant"), dict) else {}),
    }


def publish_variants(members: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Memberships with their variants in publishable form.

    A corpus keeps its hash mark only if another file has the same name in the same study and scale.
    """
    # Thousands of runs share a few variants.
    texts = [json.dumps(member.get("variant"), sort_keys=True) for member in members]
    variants = {text: member.get("variant") for text, member in zip(texts, members, strict=True)}
    published = {text: publish_variant(variant) for text, variant in variants.items()}
    rows = [{**member, "variant": dict(published[text])} for member, text in zip(members, texts, strict=True)]
    marked: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        marked.setdefault(_name_place(row), set()).add(str(row["variant"].get("corpus")))
    for row in rows:
        corpus = row["variant"].get("corpus")
        if isinstance(corpus, str) and len(marked[_name_place(row)]) == 1:
            row["variant"]["corpus"] = MARK.sub("", corpus)
    return rows


def _name_place(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Study, scale, and the corpus without its hash mark."""
    return row["study"], row["scale"], MARK.sub("", str(row["variant"].get("corpus")))
