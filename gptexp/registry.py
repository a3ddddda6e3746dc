"""Things of one kind that are found by their names: ours, and those that other packages bring as entry points."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from gptexp.errors import GptexpError, did_you_mean, shorten

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


@dataclass(frozen=True)
class Registry(Generic[T]):
    """Names and what they stand for. A name is looked up in other packages only where it is none of ours.

    Another package adds a name with an entry point, in its pyproject.toml:

        [project.entry-points."gptexp.optimizers"]
        lion = "my_package.lion:Lion"
    """

    kind: str
    """What one of them is called in a message: `optimizer`."""
    group: str
    """The entry points of other packages: `gptexp.optimizers`."""
    builtin: Mapping[str, str | T]
    """By name: the thing itself, or `module:attribute`, which is imported when it is first asked for."""
    _found: dict[str, T] = field(default_factory=dict, init=False, repr=False, compare=False)

    def find(self, name: str) -> T:
        """What `name` stands for.

        Raises:
            GptexpError: nothing has that name, or the package that brings it can't be imported.
        """
        if name not in self._found:
            self.check(name)
            self._found[name] = self._load(name)
        return self._found[name]

    def _load(self, name: str) -> T:
        if name in self.builtin:
            found = self.builtin[name]
            return cast(T, pkgutil.resolve_name(found)) if isinstance(found, str) else found
        entry = self._others()[name]
        try:
            return cast(T, entry.load())
        except Exception as error:  # whatever another package does when it is imported
            raise GptexpError(
                f"the {self.kind} {name!r} ({entry.value}) can't be loaded ({type(error).__name__}: {error}); "
                f"repair or uninstall the package that brings it"
            ) from error

    def check(self, name: str) -> None:
        """Nothing is imported for this.

        Raises:
            GptexpError: nothing has that name.
        """
        if name not in self.builtin and name not in (others := self._others()):
            raise GptexpError(f"there is no {self.kind} {shorten(name)}{did_you_mean(name, [*self.builtin, *others])}")

    def names(self) -> list[str]:
        """Ours in their order, then those of other packages."""
        return [*self.builtin, *(name for name in self._others() if name not in self.builtin)]

    def _others(self) -> dict[str, EntryPoint]:
        # Here, because importing this takes a while and few commands need it.
        from importlib.metadata import entry_points

        return {entry.name: entry for entry in entry_points(group=self.group)}
