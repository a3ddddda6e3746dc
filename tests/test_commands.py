"""Every command that a document names is carried out, at a tiny size, or is on a list with the reason why it isn't.

A new command in a document needs nothing here: it is carried out in a folder with some tiny runs. One that can't be
(a cluster, an account, hours) has to be put on a list, where it is still read by click.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from gptexp.mirrors.wandb_sync import Sent
from gptexp.studies.launchers import JobContext, JobEnd, JobEvent, LocalLauncher
from tests import test_clusters, test_docs
from tests.cli.conftest import Call, Reply, call
from tests.cli.test_help import all_commands
from tests.commands import DOCUMENTS, ROOT, Named, collect, find_mistake, is_only_a_name, split_words
from tests.json_formats import FORMATS
from tests.packages import install_package
from tests.studies.tiny import SMALLEST, write_corpus
from tests.wandb import test_readme

__all__ = ["call"]
TINY = {**SMALLEST, "max_steps": 14, "eval_interval": 7, "threads": 1, "compile": False, "sample_interval": 7}
SETTINGS = " ".join(f"--set {name}={value}" for name, value in TINY.items())
ONE_RUN = " ".join(f"{name}={value}" for name, value in TINY.items())
STUDIES = f"--scale quick --seeds 1 --corpus tiny.txt {SETTINGS}"
SMALL = {
    "plan": STUDIES,
    "run": f"{STUDIES} --no-report",
    "train": f"--scale quick --corpus tiny.txt {ONE_RUN}",
    "fork": "--corpus tiny.txt --no-report",
    "sweep": "--corpus tiny.txt --jobs 1 --trials 3",
    "report": "--runs-dir few",
    "runs pack": "--runs-dir few",
    "watch": "--port 0",
    "evaluate": "--corpus tiny.txt",
}
"""Command -> what is put behind it; of two options of one name the last one counts."""
LONGER = "--set max_steps=102 --until-step 2"
"""Its arms warm up for up to 100 steps."""
SMALLER = (
    ("--at-step 500", "--at-step 7"),
    ("--at-step 300 --cooldown 60", "--at-step 7 --cooldown 3"),
    ("--until-step 300", "--until-step 7"),
    ("--until-step 600", "--until-step 7"),
    ("run warmup-length", f"run warmup-length {LONGER}"),
    ("plan warmup-length", f"plan warmup-length {LONGER}"),
    ("run lr-ladder --scale char", "run lr-ladder --scale char --dry-run"),
    ("pack --scale char", "pack --scale quick"),
    ("train_loss@500", "train_loss@5"),
    ("--until-decided --detect 0.02", "--until-decided --detect 0.5 --max-seeds 3"),
    ("key=value", "lr=1e-3"),
    ("claims NAME", "claims initial-loss"),
    ("--from-hf DIR", "--from-hf hf-model"),
    ("my_text.txt", "tiny.txt"),
)
"""What a document writes -> what the tiny runs bear."""
ELSEWHERE = {
    **dict.fromkeys(test_clusters.COMMANDS, "tests/test_clusters.py carries out this page"),
    **dict.fromkeys(test_readme.read_commands(), "tests/wandb/test_readme.py carries out this block of README.md"),
    "python docs/draw_architecture.py": "tests/test_docs.py calls it",
    "python docs/write_json.py": "called below",
}
"""Command -> the test that carries it out."""
BENCH = "times processes of its own for half a minute; tests/bench/test_bench.py does it at a tiny size"
NOT_HERE = {
    "make demo": "sets up an environment of 2 GB; the run behind it is `gptexp run lr-ablation`",
    "make test": "is what runs this test",
    "make test-fast": "is what runs this test",
    "make check": "is what runs this test",
    "make format": "changes the files of this checkout",
    "make docs": "writes into docs/",
    "source .venv/bin/activate": "changes the shell that it is typed into",
    "pip install -e .": "changes the environment of the tests",
    'pip install -e ".[notebook]"': "changes the environment of the tests",
    'pip install "gptexp[trackio]"': "changes the environment of the tests",
    'pip install "gptexp[slurm]"': "changes the environment of the tests",
    'pip install "gptexp[ray]"': "changes the environment of the tests",
    'pip install -c constraints.txt -e ".[dev]"': "changes the environment of the tests",
    "uvx --from gptexp-0.1.0-py3-none-any.whl gptexp studies": "downloads 2 GB; .ci/package tries the wheel",
    "jupyter lab my-course": "serves until it is ended; tests/notebook runs the notebooks",
    "trackio show": "serves until it is ended; tests/mirrors/test_trackio.py reads what it would show",
    "wandb leet runs/ID/wandb": "takes the terminal until it is ended",
    "gptexp run lr-ablation --tracker trackio": "starts a server; tests/mirrors/test_trackio.py does it",
    "gptexp doctor --online": "needs a server; tests/wandb/test_doctor.py has one",
    "gptexp sweep sweep.yaml --trials 40 --launcher ray": "starts a cluster; tests/studies/test_ray.py has one",
    "gptexp plan ... --launcher ray --price-per-hour 2.5": "names no study; README.md has it whole",
    "gptexp report lesson --runs-dir reports/published/2026-11/records": "takes 40 s; tests/report/test_published.py "
    "makes this page",
    "gptexp fork ID --around-spikes --set grad_clip=None": "needs a run with a spike; tests/cli/test_fork.py has one",
    "gptexp bench": BENCH,
    "gptexp bench --scale quick": BENCH,
    "gptexp bench --scale char --steps 20 --compile": BENCH,
    "gptexp bench --set batch_size=8 --rounds 5 --steps 3": BENCH,
}
"""Command -> why it isn't carried out by a test."""
STATUSES = {"report lesson --strict": (0, 1), "lint lesson.mdx": (0, 1), "doctor": (0, 1)}
"""Begin of a command -> its exit statuses, where what it finds decides; else 0."""
NAMED = [one for document in DOCUMENTS if (ROOT / document).exists() for one in collect(document)]
PRINTED = {
    line: name
    for name, about in FORMATS.items()
    for line in about["commands"]
    if name not in ("gptexp.error/1", "gptexp.sync/1", "gptexp.bench/1")
}
"""Command -> what it prints with --json. An error and what is sent have tests of their own; tests/bench has bench."""
LLMS = (ROOT / "llms.txt").read_text(encoding="utf-8")
CARRIED_OUT = list(
    dict.fromkeys(
        one.line
        for one in NAMED
        if one.document != "docs/json.md"
        and one.line not in {**ELSEWHERE, **NOT_HERE}
        and not is_only_a_name(split_words(one.line))
    )
)
OTHER = "gptexp train schedule=constant lr=0.3 grad_clip=None tokenizer=char"
LESSON = "The first loss is 10.8.\n\nA constant learning rate of 6e-4 explodes.\n"


class OneByOne(LocalLauncher):
    """Carries out jobs in this process: a worker takes seconds to start."""

    def launch(self, function: Any, jobs: Any) -> Iterator[JobEvent | JobEnd]:
        for job in jobs:
            events: list[Any] = []
            result = function(job, JobContext(emit=events.append, should_stop=lambda: False))
            yield from (JobEvent(job, event) for event in events)
            yield JobEnd(job, result)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with what README.md tells its readers to put there."""
    folder = tmp_path_factory.mktemp("place")
    write_corpus(folder / "tinyshakespeare.txt")
    (folder / "lesson.mdx").write_text(LESSON)
    sweep = (ROOT / "sweep.yaml").read_text()
    fixed = "".join(f"  {name}: {{value: {value}}}\n" for name, value in {**TINY, "compile": "false"}.items())
    (folder / "sweep.yaml").write_text(sweep.replace("parameters:\n", f"parameters:\n{fixed}"))
    for name in test_docs.FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(test_docs.BLOCKS[name])
    study = (ROOT / "experiments" / "lr_ablation.py").read_text()
    (folder / "experiments" / "my_study.py").write_text(study.replace('"lr-ablation"', '"my-study"'))
    groups = test_docs.PROJECT["project"]["entry-points"]
    entries = [
        line
        for group, names in groups.items()
        for line in (f"[{group}]", *(f"{name} = {where}" for name, where in names.items()))
    ]
    modules = {name: test_docs.BLOCKS[f"{name}.py"] for name in test_docs.MODULES}
    install_package(folder / "site", "my-gptexp", "\n".join(entries), modules)
    return folder


@pytest.fixture
def carry_out(place: Path, call: Call, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls a command of a document in that folder."""
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place / "site"))
    monkeypatch.setenv("GPTEXP_DATA_DIR", str(place))
    monkeypatch.setattr("gptexp.studies.launchers.LocalLauncher", OneByOne)
    monkeypatch.setattr("gptexp.report.watch.PageServer.serve_forever", lambda self: None)
    if not (place / "runs").exists():
        shutil.copy(tiny_corpus, place / "tiny.txt")
        prepare(call)
    first, other = (place / "ids").read_text().split()

    def run(line: str, *more: str) -> Any:
        ids = iter((first, other))
        words = [next(ids) if word == "ID" else word for word in make_small(line)]
        if "rm" in words:
            shutil.copytree("runs", "spare", dirs_exist_ok=True)
            more = (*more, "--runs-dir", "spare")
        return call(*words, *more)

    return run


def prepare(call: Call) -> None:
    """The runs that are there before the first command, a page of them, and a model in another tool's format."""
    for line in ("gptexp run lr-ablation --seeds 2", OTHER):
        reply = call(*make_small(line), *(["--seeds", "2"] if "run" in line else ["--scale", "char"]))
        assert reply.status == 0, reply.err
    rows = call("runs", "list", "--json").json()
    (first,) = [row["run_id"] for row in rows if row["arm"] == "warmup-cosine" and row["seed"] == 1337]
    (other,) = [row["run_id"] for row in rows if row["study"] == "train"]
    Path("ids").write_text(f"{first} {other}")
    assert call("export", first, "--out", "hf-model").status == 0
    shutil.copytree("runs", "few")
    assert call("report", "lesson", "--runs-dir", "few").status == 0


def make_small(line: str) -> list[str]:
    """The words behind `gptexp`, of a size that takes a second."""
    for written, borne in SMALLER:
        line = line.replace(written, borne)
    _, *words = split_words(line)
    small = next((more for begin, more in SMALL.items() if f"{' '.join(words)} ".startswith(f"{begin} ")), "")
    if "--until-decided" in words:
        small = small.replace("--seeds 1", "--seeds 3")
    elif "--seeds" in words:
        small = small.replace("--seeds 1", "--seeds 2")
    # What LONGER and its like say is to win over the settings of all.
    return [*words[:1], *shlex.split(small), *words[1:]] if LONGER in line else [*words, *shlex.split(small)]


@pytest.mark.slow
@pytest.mark.parametrize("line", CARRIED_OUT)
def test_a_command_of_a_document_works(line: str, carry_out: Any) -> None:
    """It ends with its exit status; with --json it prints the format that stands beside it and nothing else."""
    reply = carry_out(line)
    statuses = next((found for begin, found in STATUSES.items() if line.startswith(f"gptexp {begin}")), (0,))
    assert reply.status in statuses, reply.err
    assert "internal error" not in reply.err
    if " --json" in line:
        (name,) = {row["format"] for row in as_rows(reply)}
        assert f"# {name}" in LLMS.split(f"\n{line} ")[1].split("\n")[0]


def as_rows(reply: Reply) -> list[Any]:
    """The objects that a command printed."""
    if reply.out.startswith('{"format"'):
        return reply.lines()
    found = reply.json()
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("one", NAMED, ids=lambda one: f"{one.document}: {one.line}")
def test_no_command_of_a_document_is_left_out(one: Named) -> None:
    """It is carried out, here or by another test, or there is a reason; and click reads all of it."""
    words = split_words(one.line)
    if one.line in ELSEWHERE or is_only_a_name(words):
        return
    assert one.line in NOT_HERE or words[0] == "gptexp", f"{one.line} of {one.document} is carried out by no test"
    if one.line in NOT_HERE and "..." not in one.line:
        assert find_mistake(words) is None


def test_no_reason_outlives_its_command() -> None:
    """The list of what isn't carried out names commands that are in a document."""
    assert set(NOT_HERE) - {one.line for one in NAMED} == set()


@pytest.mark.slow
@pytest.mark.parametrize("line", PRINTED)
def test_what_json_prints_is_what_docs_say(line: str, carry_out: Any) -> None:
    """Each command that docs/json.md lists prints the format that it stands beside, whole and no more than that."""
    reply = carry_out(line, "--json")
    assert reply.status in (0, 1), reply.err
    assert {row["format"] for row in as_rows(reply)} == {PRINTED[line]}


def test_what_is_sent_to_wandb_has_its_format(carry_out: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`runs sync`, which needs an account: here W&B takes everything."""
    monkeypatch.setattr("gptexp.cli.run_sync.name_hindrances", list)
    monkeypatch.setattr("gptexp.mirrors.wandb_sync.send_run", lambda one, **_: Sent(one.path.name, "sent", url="u"))
    rows = as_rows(carry_out("gptexp runs sync", "--json", "--runs-dir", "few"))
    assert len(rows) > 1
    assert {row["format"] for row in rows} == {"gptexp.sync/1"}


@pytest.mark.parametrize("words", [["runs", "show", "abc"], ["runs", "list", "--nope"], ["run", "lr-ablashun"]])
def test_an_error_is_json_too(words: list[str], call: Call) -> None:
    """One object with the sentence of stderr and the exit status; without --json stdout stays empty."""
    (found,) = call(*words, "--json").lines()
    reply = call(*words)
    assert (reply.status, reply.out) == (2, "")
    assert reply.err.strip() == f"gptexp: {found['error']}"
    assert found["exit_status"] == 2


def test_every_command_takes_json() -> None:
    """Whatever prints a result: all commands."""
    lacking = [
        words
        for words, command in all_commands().items()
        if not isinstance(command, click.Group)
        and "--json" not in {name for one in command.params for name in one.opts}
    ]
    assert lacking == []


def test_docs_of_json_are_what_the_models_give() -> None:
    """docs/json.md and docs/json.schema.json are made from the models: `python docs/write_json.py`."""
    command = [sys.executable, "docs/write_json.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_llms_txt_has_the_form_of_its_name() -> None:
    """Title, summary, sections of links with notes (llmstxt.org); every link leads to a file that is there."""
    title, _, summary, *rest = LLMS.splitlines()
    assert title == "# gptexp"
    assert summary.startswith("> ")
    links = [line for line in "\n".join(rest).split("\n## ", 1)[1].splitlines() if line and not line.startswith("#")]
    found = [re.fullmatch(r"- \[[^]]+\]\((\S+)\): .+", line) for line in links[1:]]
    assert all(found), links
    assert all((ROOT / link[1]).is_file() for link in found if link)
    assert "\n## Optional\n" in LLMS


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if (ROOT / one).exists()])
def test_links_of_documents_lead_somewhere(document: str) -> None:
    """To a file of the checkout, and to a heading where one is named."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.S)):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / document).parent / path) if path else ROOT / document
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}, link
