"""Things of one kind that are found by their names: ours, and those that other packages bring as entry points."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from gptexp.errors import GptexpError, did_you_mean, shorten

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


@dataclass(frozen=True)
class Registry(Generic[T]):
    """Names and what they stand for. A name is looked up in other packages only where it is none of ours.

    Another package adds a name with an entry point, in its pyproject.toml. Nothing of it is imported before somebody
    asks for that name:

        [project.entry-points."gptexp.optimizers"]
        lion = "my_package.lion:Lion"
    """

    kind: str
    """What one of them is called in a message: `optimizer`."""
    group: str
    """The entry points of other packages: `gptexp.optimizers`."""
    builtin: Mapping[str, str | T]
    """By name: the thing itself, or `module:attribute`, which is imported when it is first asked for."""
    is_factory: bool = True
    """Whether what a name stands for has to be callable."""
    _found: dict[str, T] = field(default_factory=dict, init=False, repr=False, compare=False)

    def find(self, name: str) -> T:
        """What `name` stands for.

        Raises:
            GptexpError: nothing has that name, two packages have it, or the one that brings it can't be used.
        """
        known = self.builtin.get(name)
        if known is not None and not isinstance(known, str):
            return known
        if name not in self._found:
            self.check(name)
            self._found[name] = self._load(name)
        return self._found[name]

    def make(self, name: str, *args: Any, **settings: Any) -> Any:
        """What the factory of that name returns.

        Raises:
            GptexpError: as `find`; also if the factory of another package fails.
        """
        factory: Any = self.find(name)
        try:
            return factory(*args, **settings)
        except (GptexpError, MemoryError):
            raise
        except Exception as error:
            if name in self.builtin:
                raise
            place, reason = self._place(name), f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise GptexpError(f"{place} fails ({reason}); repair or uninstall that package") from error

    def check(self, name: str) -> None:
        """Nothing is imported for this.

        Raises:
            GptexpError: nothing has that name, or two packages have it.
        """
        if name in self.builtin:
            return
        entries = [entry for entry in self._entries() if entry.name == name]
        if not entries:
            raise GptexpError(f"there is no {self.kind} {shorten(name)}{did_you_mean(name, self.names())}")
        if len(entries) > 1:
            packages = " and ".join(_name_package(entry) for entry in entries)
            raise GptexpError(f"{packages} both have a {self.kind} {name!r}; uninstall one of them")

    def __contains__(self, name: str) -> bool:
        """Whether something has that name. Other packages, which takes a while, are asked only where it isn't ours."""
        return name in self.builtin or any(entry.name == name for entry in self._entries())

    def names(self) -> list[str]:
        """Ours in their order, then those of other packages."""
        return list(dict.fromkeys([*self.builtin, *(entry.name for entry in self._entries())]))

    def _load(self, name: str) -> T:
        if name in self.builtin:
            return cast(T, pkgutil.resolve_name(cast(str, self.builtin[name])))
        place = self._place(name)
        try:
            loaded = self._entry(name).load()
        except (Exception, SystemExit) as error:  # whatever another package does when it is imported
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise GptexpError(f"{place} can't be loaded ({reason}); repair or uninstall that package") from error
        if self.is_factory and not callable(loaded):
            raise GptexpError(f"{place} can't be called; expected what makes a {self.kind}")
        return cast(T, loaded)

    def _entry(self, name: str) -> EntryPoint:
        (entry,) = (entry for entry in self._entries() if entry.name == name)
        return entry

    def _place(self, name: str) -> str:
        entry = self._entry(name)
        return f"the {self.kind} {name!r} of {_name_package(entry)} ({entry.value})"

    def _entries(self) -> list[EntryPoint]:
        # Imported here, because it takes a while and few commands need it.
        from importlib.metadata import entry_points

        return list(entry_points(group=self.group))


def _name_package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "a package"
