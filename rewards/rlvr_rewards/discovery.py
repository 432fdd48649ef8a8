"""Finding things by name, without a central list.

A name is looked up in three places: the modules of a package of ours, installed packages that declare an entry point,
and a file of the user's own, given as `my_env.py:MyEnv`. Rewards, environments and stages are all found this way.
"""

import contextlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from rlvr_rewards.errors import UserError, one_line, unknown_name

T = TypeVar("T")


@dataclass(frozen=True)
class Catalogue(Generic[T]):
    """All the things of one kind.

    Attributes:
        kind: What one is called in messages, such as `reward`.
        package: The package of ours whose modules define them.
        group: The entry-point group through which other packages add theirs.
        name_of: The name of a thing of this kind; `None` for any other object.
    """

    kind: str
    package: str
    group: str
    name_of: Callable[[Any], str | None]

    @cached_property
    def _ours(self) -> dict[str, T]:
        """Everything of this kind that a module of our package defines."""
        package = importlib.import_module(self.package)
        found: dict[str, T] = {}
        for module_info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{self.package}.{module_info.name}")
            for thing in vars(module).values():
                name = self.name_of(thing)
                if name and getattr(thing, "__module__", None) == module.__name__:
                    found[name] = thing
        return found

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}

    def names(self) -> list[str]:
        """Every name that `get` knows without a file, sorted."""
        return sorted({*self._ours, *self._entry_points})

    def get(self, name: str, also_known: Iterable[str] = ()) -> T:
        """The thing called `name`, or the one that `path/to/file.py:Name` defines.

        `also_known` are names that the caller has looked for already: an error offers them too.

        Raises:
            UserError: Nothing has that name (the nearest is offered), or the file cannot be used.
        """
        path, colon, attribute = name.rpartition(":")
        if colon and path.endswith(".py"):
            return self._from_file(Path(path), attribute)
        if name in self._ours:
            return self._ours[name]
        if name in self._entry_points:
            return self._loaded(self._entry_points[name])
        if name.endswith(".py"):
            raise UserError(f"{name}: say which {self.kind} of the file you mean, as {name}:NAME")
        raise unknown_name(self.kind, name, [*self.names(), *also_known])

    def _loaded(self, point: EntryPoint) -> T:
        try:
            thing = point.load()
        except Exception as error:  # another package's code may raise anything
            raise UserError(f"{self.kind} {point.name!r}: {point.value} cannot be loaded: {one_line(error)}") from error
        if not self.name_of(thing):
            raise UserError(f"{self.kind} {point.name!r}: {point.value} {self._why_not(thing)}")
        return thing

    def _why_not(self, thing: Any) -> str:
        missing = sorted(getattr(thing, "__abstractmethods__", ()))
        kind = f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"
        is_what = "a class of another kind" if isinstance(thing, type) else f"of type {type(thing).__name__}"
        why = f"it does not define {', '.join(missing)}" if missing else f"it is {is_what}"
        return f"cannot be used as {kind}: {why}"

    def _from_file(self, path: Path, attribute: str) -> T:
        module = load_file(path)
        thing = getattr(module, attribute, None)
        if thing is not None and self.name_of(thing):
            return thing
        if thing is not None:
            raise UserError(f"{path}: {attribute} {self._why_not(thing)}")
        offered = [name for name, value in vars(module).items() if self.name_of(value)]
        raise unknown_name(f"{self.kind} in {path}", attribute, offered)


def load_file(path: Path) -> ModuleType:
    """Imports a user's Python file as a module of its own; a second call gives the same module.

    While it is imported, and only then, it can import its neighbours in the same folder.

    Raises:
        UserError: There is no such file, or it cannot be imported; the line at fault is named.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    module_name = f"rlvr_user_{path.stem}_{blake2b(str(path.resolve()).encode(), digest_size=4).hexdigest()}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec and spec.loader, f"no loader for {path}"
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up while it is being imported
    try:
        with _importable(str(path.resolve().parent)):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's file may raise anything
        del sys.modules[module_name]
        raise UserError(f"{path}{_line_at_fault(error, spec.origin)}: {one_line(error)}") from error
    return module


@contextlib.contextmanager
def _importable(folder: str) -> Iterator[None]:
    """Lets a file import its neighbours; the folder comes last, so that they hide nothing that is installed."""
    is_new = folder not in sys.path
    if is_new:
        sys.path.append(folder)
    try:
        yield
    finally:
        if is_new and folder in sys.path:
            sys.path.remove(folder)


def _line_at_fault(error: BaseException, filename: str | None) -> str:
    """The line of the file that was running, or could not be read, when the error was raised."""
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == filename else None
    traceback = error.__traceback__
    while traceback:
        if traceback.tb_frame.f_code.co_filename == filename:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f" line {line}" if line else ""
