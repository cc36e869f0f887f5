"""What is said, in the code, about each value of an enumeration?

Python keeps no docstrings of enum members, and a second table of sentences would drift away from
the first, so they are read from the source.
"""

import ast
import inspect
from enum import StrEnum
from functools import cache
from itertools import pairwise


@cache
def sentences(kind: type[StrEnum]) -> dict[str, str]:
    """Value -> the sentence under it, in the order of the source; only those that have one."""
    tree = ast.parse(inspect.getsource(kind))
    (made,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    found = {}
    for member, below in pairwise(made.body):
        match member, below:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[kind[name].value] = " ".join(text.split())
    return found
