"""The checks of doctor that concern the setup: tokenizer, corpus, W&B, studies, git."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from pathlib import Path

import gptexp
from gptexp.cli.doctor_machine import Check
from gptexp.errors import GptexpError
from gptexp.paths import read_path

SERVER_TIMEOUT_S = 5


def check_tokenizer() -> Check:
    from gptexp.data.tokenizer import RANKS_SHA256, load_gpt2_tokenizer

    tokens = load_gpt2_tokenizer().vocab_size
    return Check("tokenizer", "ok", f"GPT-2's merge ranks match their SHA-256 {RANKS_SHA256[:8]}…: {tokens:,} tokens")


def check_corpus() -> Check:
    """Whether TinyShakespeare is available without a download, in the places where gptexp.data.corpus looks."""
    from gptexp.data.corpus import TINYSHAKESPEARE_FILES, TINYSHAKESPEARE_URL, cache_dir, load_corpus

    named = os.environ.get("GPTEXP_DATA_DIR")
    folders = [read_path(named)] if named else []
    at_hand = [path for folder in folders for file in TINYSHAKESPEARE_FILES if (path := folder / file).is_file()]
    at_hand += [path for file in TINYSHAKESPEARE_FILES if is_tinyshakespeare(path := cache_dir() / file)]
    if at_hand:
        corpus = load_corpus("tinyshakespeare")
        return Check("corpus", "ok", f"TinyShakespeare is here, {len(corpus.text):,} characters: {at_hand[0]}")
    if folders and not folders[0].is_dir():
        advice = f"GPTEXP_DATA_DIR names {named}, which is not a folder: correct it."
    else:
        folder = "the folder that GPTEXP_DATA_DIR names" if named else "a folder, and name that in GPTEXP_DATA_DIR,"
        advice = f"Put tinyshakespeare.txt into {folder} to avoid the download."
    return Check(
        "corpus",
        "note",
        f"TinyShakespeare is not here: the first run downloads it (1.1 MB) from {TINYSHAKESPEARE_URL}; without a "
        "network, runs use the documentation text inside Python (python-docs) instead",
        advice,
    )


def is_tinyshakespeare(path: Path) -> bool:
    """Whether the file exists and has TinyShakespeare's checksum."""
    from gptexp.data.corpus import TINYSHAKESPEARE_SHA256
    from gptexp.files import read_user_file

    try:
        return hashlib.sha256(read_user_file(path)).hexdigest() == TINYSHAKESPEARE_SHA256
    except OSError:
        return False


def check_wandb() -> Check:
    """Version, login and mode of W&B. The API key itself is not read."""
    from gptexp.mirrors.wandb import choose_mode, is_logged_in

    try:
        version = importlib.metadata.version("wandb")
    except importlib.metadata.PackageNotFoundError:
        return Check("wandb", "problem", "not installed", "Install it with `pip install wandb`.")
    login = "logged in" if is_logged_in() else "not logged in"
    asked = os.environ.get("WANDB_MODE")
    try:
        mode = choose_mode(None)
    except GptexpError as error:
        return Check("wandb", "problem", f"{version}, {login}, WANDB_MODE={asked}: {error}")
    detail = f"{version}, {login}; runs go {mode}" if mode != "disabled" else f"{version}, {login}; nothing is sent"
    detail += f" (WANDB_MODE={asked})" if asked else ""
    if mode == "offline" and not is_logged_in():
        return Check(
            "wandb",
            "note",
            detail,
            f"After `wandb login`{', and with WANDB_MODE unset,' if asked else ''} runs go to the server; "
            "`gptexp runs sync` sends earlier runs.",
        )
    return Check("wandb", "ok", detail)


def check_server() -> Check:
    """Whether the W&B server answers and, if logged in, to which account the key belongs."""
    from gptexp.mirrors.wandb_server import is_logged_in, server_name, why_unreachable

    server, reason = server_name(), why_unreachable(SERVER_TIMEOUT_S)
    if reason:
        advice = (
            "Runs are still recorded here, and mirrored offline until it answers; then `gptexp runs sync` sends "
            "what W&B lacks. WANDB_BASE_URL names a server of your own."
        )
        return Check("wandb server", "note", f"{server} can't be reached: {reason}", advice)
    if not is_logged_in():
        return Check("wandb server", "ok", f"{server} answers; nobody is logged in")
    from gptexp.runs.wandb_api import ANOTHER_KEY, name_account

    try:
        account = name_account()
    except GptexpError as error:
        advice = f"{ANOTHER_KEY}."
        return Check("wandb server", "problem", f"{server} answers, but refuses this key: {error}", advice)
    return Check("wandb server", "ok", f"{server} answers; logged in as {account}")


def check_studies() -> Check:
    from gptexp.cli.studies import list_studies

    rows = list_studies()
    if not rows:
        return Check("studies", "problem", "none found", "Run gptexp in the folder of experiments/, or reinstall it.")
    broken = [row for row in rows if row["error"]]
    if broken:
        errors = "; ".join(row["error"] for row in broken)
        return Check("studies", "problem", f"{len(broken)} of {len(rows)} don't load: {errors}", "Fix these files.")
    unread = [row["name"] for row in rows if not row["was_run"]]
    detail = f"{len(rows)} found: {', '.join(row['name'] for row in rows)}"
    detail += f"; from this folder, read but not executed: {', '.join(unread)}" if unread else ""
    return Check("studies", "ok", detail)


def check_git() -> Check:
    """Which commit of gptexp's own code the records will name."""
    from gptexp.tracking.own_commit import find_own_commit

    own = find_own_commit()
    if own.commit is None:
        version = f"records name gptexp {gptexp.__version__} but no commit: {own.why}"
        return Check("git", "note" if own.advice else "ok", version, own.advice)
    commit = f"gptexp is at commit {own.commit[:10]}"
    if own.dirty is None:
        return Check("git", "note", f"{commit}; {own.why}")
    if own.dirty:
        return Check("git", "note", f"{commit} with changes", "Commit them, so that records name the exact code.")
    return Check("git", "ok", f"{commit}, no changes")
