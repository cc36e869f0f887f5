"""What a Python file defines, read without running it."""

import ast
from dataclasses import dataclass
from pathlib import Path

from modelfleet_contract import FailureReason
from modelfleet_runtime.errors import CannotServe


@dataclass(frozen=True, slots=True)
class Source:
    """The names at the top of one file."""

    functions: frozenset[str]
    classes: dict[str, tuple[str, ...]]
    """Each class with the last parts of its bases' names."""
    imported: frozenset[str]
    """Names that an import brings; a star brings "*"."""
    modules: frozenset[str]
    """The first parts of the modules that are imported, wherever in the file."""

    @property
    def names(self) -> frozenset[str]:
        return self.functions | self.imported | frozenset(self.classes)

    def may_define(self, name: str) -> bool:
        return name in self.names or "*" in self.imported


def read(file: Path) -> Source:
    """Raises `CannotServe` where it is no Python."""
    try:
        tree = ast.parse(file.read_bytes(), file.name)
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise CannotServe(
            FailureReason.MODEL_INVALID, f"{file.name} is not valid Python{line}: {reason}"
        ) from error
    functions, imported = set(), set()
    classes: dict[str, tuple[str, ...]] = {}
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                functions.add(name)
            case ast.ClassDef(name=name, bases=bases):
                classes[name] = tuple(ast.unparse(base).rpartition(".")[2] for base in bases)
            case ast.Assign(targets=targets):
                functions |= {t.id for t in targets if isinstance(t, ast.Name)}
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                imported |= {alias.asname or alias.name for alias in names}
    return Source(frozenset(functions), classes, frozenset(imported), _modules(tree))


def defines(file: Path, *names: str) -> bool:
    """Whether it defines all of these; a file that cannot be read defines nothing."""
    try:
        source = read(file)
    except (CannotServe, OSError):
        return False
    return all(source.may_define(name) for name in names)


def _modules(tree: ast.Module) -> frozenset[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return frozenset(found)
