"""What can be named on a command line and made by another package: trackers and launchers, each loaded when asked for.

Another package adds one with an entry point, and nothing of it is imported before its name is asked for:

    [project.entry-points."gptexp.trackers"]
    board = "my_package.board:BoardSettings"
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gptexp.errors import GptexpError, did_you_mean


@dataclass(frozen=True)
class Registry:
    """Names, and what makes the thing that each stands for."""

    what: str
    """One of its things, as a sentence calls it: tracker."""
    group: str
    """The entry points of other packages that belong to it."""
    own: Mapping[str, str]
    """Name -> `module:attribute`, of those that come with gptexp; no other package can take their names."""

    def names(self) -> list[str]:
        """Every name that can be asked for."""
        return sorted({*self.own, *(entry.name for entry in self._entries())})

    def find(self, name: str) -> Callable[..., Any]:
        """What makes the thing of that name.

        Raises:
            GptexpError: no such name, two packages that have it, or one that can't be loaded.
        """
        if name in self.own:
            found = [importlib.metadata.EntryPoint(name, self.own[name], self.group)]
        else:
            found = [entry for entry in self._entries() if entry.name == name]
        if not found:
            raise GptexpError(f"there is no {self.what} {name!r}{self._list_known(name)}")
        if len(found) > 1:
            packages = " and ".join(_name_package(entry) for entry in found)
            raise GptexpError(f"{packages} both have a {self.what} {name!r}; uninstall one of them")
        try:
            factory = found[0].load()
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            place = f"the {self.what} {name!r} of {_name_package(found[0])}"
            raise GptexpError(f"{place} can't be loaded ({reason}); mend it or leave it out") from error
        if not callable(factory):
            raise GptexpError(
                f"the {self.what} {name!r} of {_name_package(found[0])} is {found[0].value}, which can't be called; "
                f"expected what makes a {self.what}"
            )
        return factory  # type: ignore[no-any-return]

    def _entries(self) -> list[importlib.metadata.EntryPoint]:
        return [entry for entry in importlib.metadata.entry_points(group=self.group) if entry.name not in self.own]

    def _list_known(self, name: str) -> str:
        known = self.names()
        hint = did_you_mean(name, known)
        return hint if "known:" in hint else f"{hint} Known: {', '.join(known)}"


def _name_package(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist else "gptexp"
