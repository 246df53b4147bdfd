"""Reads the object arrays that NumPy saves, without running anything.

``np.save`` writes an object array as a pickle, and unpickling runs whatever code the file names.
Here `pickletools` only lists the file's instructions; the few that build dicts, lists, numbers,
text and NumPy arrays are carried out below, and a file that asks for anything else is rejected.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.recordings.readers.checks import DAMAGED, require
from workflow_scripts.stores.errors import InputError

_MARK = object()


class _Array:
    """An array whose content comes with a later instruction."""

    value: Any = None


class _Type(_Array):
    """A dtype whose byte order comes with a later instruction."""


def read_object_array(path: Path) -> Any:
    """Read a .npy file of dtype object.

    Parameters
    ----------
    path : Path
        File that ``np.save`` wrote from dicts, lists, numbers, text and arrays of numbers, such as
        suite2p's ``stat.npy`` and ``ops.npy``.

    Returns
    -------
    Any
        The array's items as a (nested) list; the item itself for an array without dimensions.

    Raises
    ------
    InputError
        The file is missing, truncated, or asks for any other kind of object.
    """
    try:
        with require(path, "file").open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read_header(file)
            if not dtype.hasobject:
                raise InputError(f"{path}: dtype {dtype}; expected an object array")
            array = _Machine().run(file.read())
        items = np.asarray(array, dtype=object)
        return items.reshape(shape).tolist() if items.size == np.prod(shape) else array
    except DAMAGED as error:
        raise InputError(f"{path}: not a readable array of plain objects ({error})") from error


class _Machine:
    """Stack machine for the instructions that plain data needs."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            self.step(opcode.name, argument)
        return _finished(self.stack.pop())

    def step(self, name: str, argument: Any) -> None:
        if name in _SKIPPED:
            return
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in {"BINPUT", "LONG_BINPUT", "PUT"}:
            self.memo[int(argument)] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in {"BINGET", "LONG_BINGET", "GET"}:
            self.stack.append(self.memo[int(argument)])
        elif name in {"GLOBAL", "STACK_GLOBAL"}:
            self.name_function(argument)
        else:
            getattr(self, f"do_{name.lower()}", self.refuse(name))()

    def refuse(self, name: str) -> Callable[[], None]:
        def fail() -> None:
            raise ValueError(f"instruction {name} is not one of plain data")

        return fail

    def name_function(self, argument: str | None) -> None:
        if argument is None:
            argument = " ".join(self.take(2))
        module, function = argument.split(" ")
        # NumPy 2 moved its internals from numpy.core to numpy._core.
        key = f"{module.replace('._core', '.core')}.{function}"
        if key not in _FUNCTIONS:
            raise ValueError(f"it asks for {module}.{function}, which is no plain data")
        self.stack.append(_FUNCTIONS[key])

    def take(self, n: int) -> list[Any]:
        taken = self.stack[-n:]
        del self.stack[-n:]
        return taken

    def take_marked(self) -> list[Any]:
        start = (
            len(self.stack)
            - 1
            - next(i for i, item in enumerate(reversed(self.stack)) if item is _MARK)
        )
        taken = self.stack[start + 1 :]
        del self.stack[start:]
        return taken

    def do_reduce(self) -> None:
        function, arguments = self.take(2)
        self.stack.append(function(*arguments))

    def do_build(self) -> None:
        target, state = self.take(2)
        if isinstance(target, _Type):
            target.value = target.value.newbyteorder(state[1])
        elif isinstance(target, _Array):
            _, shape, dtype, fortran, content = state
            flat = (
                np.frombuffer(content, dtype.value)
                if isinstance(content, bytes)
                else np.array([*content, None], dtype=object)[:-1]
            )
            target.value = flat.reshape(shape, order="F" if fortran else "C")
        else:
            raise TypeError("it sets the state of something that is no array")
        self.stack.append(target)

    def do_append(self) -> None:
        self.stack[-2].append(self.stack.pop())

    def do_appends(self) -> None:
        items = self.take_marked()
        self.stack[-1].extend(items)

    def do_setitem(self) -> None:
        key, value = self.take(2)
        self.stack[-1][key] = value

    def do_setitems(self) -> None:
        items = self.take_marked()
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def do_tuple(self) -> None:
        self.stack.append(tuple(self.take_marked()))

    def do_tuple1(self) -> None:
        self.stack.append(tuple(self.take(1)))

    def do_tuple2(self) -> None:
        self.stack.append(tuple(self.take(2)))

    def do_tuple3(self) -> None:
        self.stack.append(tuple(self.take(3)))


def _new_array(*_: Any) -> _Array:
    return _Array()


def _new_type(name: str, *_: Any) -> _Type:
    dtype = np.dtype(name)
    if dtype.kind not in "biufcSUO":
        raise ValueError(f"dtype {dtype} is not one of plain data")
    made = _Type()
    made.value = dtype
    return made


def _scalar(dtype: _Type, content: bytes) -> Any:
    return np.frombuffer(content, dtype.value)[0]


def _inert(*arguments: Any) -> tuple[Any, ...]:
    """Stands for an object that no reader looks at, such as suite2p's date of processing."""
    return arguments


def _encode(text: str, encoding: str) -> bytes:
    """Bytes as protocols below 3 write them."""
    if encoding != "latin1":
        raise ValueError(f"bytes in encoding {encoding}")
    return text.encode("latin1")


def _finished(value: Any) -> Any:
    """Replace the machine's arrays by NumPy's, all the way down."""
    if isinstance(value, _Array):
        return _finished(value.value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [_finished(item) for item in value.ravel()]
    if isinstance(value, list | tuple):
        return type(value)(_finished(item) for item in value)
    if isinstance(value, dict):
        return {key: _finished(item) for key, item in value.items()}
    return value


_SKIPPED = {"PROTO", "FRAME", "STOP"}
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8",
}  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray._reconstruct": _new_array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.ndarray": _new_array,
    "numpy.dtype": _new_type,
    "_codecs.encode": _encode,
    "datetime.datetime": _inert,
    "pathlib.PosixPath": _inert,
    "pathlib.WindowsPath": _inert,
}
