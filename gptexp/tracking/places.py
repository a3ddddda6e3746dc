"""What leaves a machine says what was done, not where on its disk: records without the folders in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gptexp import DECIDE_NOTHING
from gptexp.text import hide_paths, hide_paths_in

MARK = re.compile(r"#[0-9a-f]{6}$")
"""Stands behind the name of a file whose folders were left out: a hash of its path."""
SOURCE = re.compile(r"^(the file |[\d,]+ text files below the folder )(?=/|~|\\|\.\.|[A-Za-z]:)(?:.*[/\\])")
"""How a corpus that is a path says where it comes from, up to its last part."""


def publish_variant(variant: Mapping[str, Any] | None) -> dict[str, Any]:
    """The variant without folders of its corpus; a hash behind the name keeps files of the same name apart.

    `{"corpus": "/home/alice/c.txt"}` becomes `{"corpus": "c.txt#3f2a1b"}`. Once published it stays the same.
    """
    # Up to 2026-11-26 a variant also had what decides no number.
    kept = {name: value for name, value in (variant or {}).items() if name not in DECIDE_NOTHING}
    changes = dict(hide_paths_in(kept))
    corpus = kept.get("corpus")
    if isinstance(corpus, str) and (name := name_corpus(corpus)) != corpus:
        changes["corpus"] = f"{name}#{hashlib.sha256(corpus.encode(errors='replace')).hexdigest()[:6]}"
    return changes


def name_variant(variant: Mapping[str, Any]) -> dict[str, Any]:
    """The published variant without the mark: the same for all files of one name."""
    changes = publish_variant(variant)
    if isinstance(changes.get("corpus"), str):
        changes["corpus"] = MARK.sub("", changes["corpus"])
    return changes


def name_corpus(name: str) -> str:
    """A corpus as a page names it: of a path that starts at a root, a home or `..` the last part."""
    whole = re.fullmatch(r"(?:[/\\~]|\.\.|[A-Za-z]:).*[/\\]([^/\\]+)[/\\]?", name)
    return whole[1] if whole else hide_paths(name)


def publish_corpus(about: Mapping[str, Any]) -> dict[str, Any]:
    """What config.json says of a corpus, without folders."""
    shorter = dict(hide_paths_in({name: value for name, value in about.items() if name not in ("name", "source")}))
    for name, shorten in (("name", name_corpus), ("source", hide_source)):
        if name in about:
            shorter[name] = shorten(about[name]) if isinstance(about[name], str) else about[name]
    return {name: shorter[name] for name in about}


def hide_source(source: str) -> str:
    """`the file c.txt`: where a corpus comes from, without folders, also where they have spaces in their names."""
    return hide_paths(SOURCE.sub(r"\1", source))


def publish_config(content: Mapping[str, Any]) -> dict[str, Any]:
    """What config.json says, its corpus without folders."""
    corpus = content.get("corpus")
    return {**content, "corpus": publish_corpus(corpus)} if isinstance(corpus, dict) else dict(content)


def publish_member(member: Mapping[str, Any]) -> dict[str, Any]:
    """A membership without folders; its arm keeps its name."""
    shorter = {**hide_paths_in(dict(member)), "arm": member.get("arm")}
    return {
        **shorter,
        "variant": publish_variant(variant if isinstance(variant := member.get("variant"), dict) else {}),
    }


def publish_variants(members: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Memberships with their variants as they may be published.

    A corpus keeps its mark only where another file goes by its name in the same study and scale.
    """
    rows = [{**member, "variant": publish_variant(member.get("variant"))} for member in members]
    marked: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        marked.setdefault(_name_place(row), set()).add(str(row["variant"].get("corpus")))
    for row in rows:
        corpus = row["variant"].get("corpus")
        if isinstance(corpus, str) and len(marked[_name_place(row)]) == 1:
            row["variant"]["corpus"] = MARK.sub("", corpus)
    return rows


def _name_place(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Study, scale, and the corpus without its mark."""
    return row["study"], row["scale"], MARK.sub("", str(row["variant"].get("corpus")))
