"""Names of ours, and of other packages."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import gptexp
from gptexp.errors import GptexpError
from gptexp.registry import Registry
from tests.conftest import REGISTRIES
from tests.packages import install_package


@pytest.fixture
def shapes() -> Registry[object]:
    return Registry("shape", "gptexp_test.shapes", {"path": "pathlib:Path", "three": 3}, is_factory=False)


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that brings two names, one of which can't be imported."""
    lines = (
        "[gptexp_test.shapes]",
        "circle = other_shapes:circle",
        "broken = other_shapes_broken:it",
        "fails = other_shapes_fails:make",
        "leaves = other_shapes_leaves:it",
        "three = os:sep",
    )
    modules = {
        "other_shapes": "circle = 'round'\n",
        "other_shapes_broken": "raise RuntimeError('no licence')\n",
        "other_shapes_fails": "def make(size):\n    return {}[size]\n",
        "other_shapes_leaves": "raise SystemExit(3)\n",
    }
    install_package(tmp_path, "other-shapes", "\n".join(lines) + "\n", modules)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_name_of_ours_is_found_and_imported_when_it_is_asked_for(shapes: Registry[object]) -> None:
    """A name stands for a thing, or for where it is to be imported from."""
    assert shapes.find("path") is Path
    assert shapes.find("three") == 3


@pytest.mark.usefixtures("other_package")
def test_a_name_of_another_package_is_found(shapes: Registry[object]) -> None:
    """An installed package adds names, and can't take ours over. Checking a name imports nothing."""
    assert shapes.names() == ["path", "three", "circle", "broken", "fails", "leaves"]
    shapes.check("circle")
    assert "other_shapes" not in sys.modules
    assert shapes.find("circle") == "round"
    assert shapes.find("three") == 3


def test_each_test_looks_names_up_anew_in_every_registry() -> None:
    """The modules whose registries `tests/conftest.py` empties are those that have one."""
    package = Path(gptexp.__file__).parent
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    having = {path for path, text in texts.items() if re.search(r"^\w+(: Registry\[.*\])? = Registry\(", text, re.M)}
    assert {".".join(path.with_suffix("").relative_to(package.parent).parts) for path in having} == set(REGISTRIES)


@pytest.mark.usefixtures("other_package")
def test_other_packages_are_asked_only_for_what_is_not_ours(
    shapes: Registry[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking through all that is installed takes 25 ms, and a report asks for each of its runs."""
    assert "circle" in shapes
    assert "zzz" not in shapes
    monkeypatch.setattr(Registry, "_entries", None)
    assert "path" in shapes
    assert shapes.find("three") == 3


@pytest.mark.usefixtures("other_package")
def test_a_package_that_cannot_be_imported_is_named_in_one_sentence(shapes: Registry[object]) -> None:
    """Another package's failure is no traceback of ours."""
    with pytest.raises(
        GptexpError, match=r"shape 'broken' of other-shapes \(other_shapes_broken:it\).*no licence.*uninstall"
    ):
        shapes.find("broken")
    with pytest.raises(GptexpError, match=r"shape 'leaves' of other-shapes .*SystemExit: 3"):
        shapes.find("leaves")


@pytest.mark.usefixtures("other_package")
def test_an_unknown_name_is_answered_with_the_known_ones(shapes: Registry[object]) -> None:
    """The near names where there are some, else all, those of other packages too."""
    with pytest.raises(GptexpError, match=r"there is no shape 'crcle'; did you mean circle\?"):
        shapes.find("crcle")
    with pytest.raises(GptexpError, match="there is no shape 'zzz'; known: broken, circle, fails, leaves, path, three"):
        shapes.check("zzz")


@pytest.mark.usefixtures("other_package")
def test_a_factory_that_fails_is_named(shapes: Registry[object]) -> None:
    """Where another package's function raises, its name stands in the sentence; what ours raise stays as it is."""
    with pytest.raises(GptexpError, match=r"shape 'fails' of other-shapes .*fails \(KeyError: 7\); repair"):
        shapes.make("fails", 7)
    with pytest.raises(TypeError):
        shapes.make("path", 7)
    assert shapes.make("path", "a") == Path("a")
