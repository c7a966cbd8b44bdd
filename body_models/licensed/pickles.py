"""Read the data of a pickle without running anything: what would be called or built is only written down."""

import io
import pickletools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from body_models.errors import InputError

MAX_STEPS = 5_000_000
"""Official files have some thousand steps; more is refused before it takes minutes."""
_SPARSE = "csc|csr|coo"
_ALLOWED = re.compile(
    r"numpy\.(_?core\.multiarray\.(_reconstruct|scalar)|_?core\.numeric\._frombuffer|ndarray|dtype)"
    rf"|scipy\.sparse\.(({_SPARSE})|_({_SPARSE}))\.({_SPARSE})_(matrix|array)"
    r"|chumpy(\.(ch|ch_ops|reordering|linalg|logic|utils))?\.[A-Za-z]\w*"
    r"|_codecs\.encode|copy_?reg\._reconstructor|(__builtin__|builtins)\.(object|set|bytes)|collections\.OrderedDict"
    r"|torch\._utils\._rebuild_tensor_v2|torch\.storage\._load_from_bytes",
    re.ASCII,
)
"""Names that official files hold. None of them is ever looked up: they only tell what a record is."""
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_PUSHED = {*_NUMBERS, *_TEXTS, "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_OUTSIDE = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"}
_DAMAGED = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, EOFError, RecursionError)


@dataclass(frozen=True, eq=False)
class Name:
    """The name of a class or function in a pickle, not the class or function."""

    name: str


@dataclass(eq=False, repr=False)
class Record:
    """What an object of a pickle would have been made from."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


class _Refused(Exception):
    """A pickle holds something that no official file does."""


def read_pickle(data: bytes, source: str) -> Any:
    """The content of a pickle of any protocol as plain data and `Record`s; Python 2 strings are read as Latin-1.

    The reader has no means to import or call anything. Raises InputError for a pickle that names anything but the
    array classes of official files, and for data that is truncated or no pickle.
    """
    machine = _Machine()
    try:
        for count, (opcode, argument) in enumerate(_steps(data)):
            if count > MAX_STEPS:
                raise _Refused(f"has more than {MAX_STEPS} steps")
            machine.step(opcode, argument)
        return machine.result()
    except _Refused as refused:
        raise InputError(
            f"{source} {refused}; this is no official model file, and nothing in it was run. "
            "Delete it and download the model again from its official site (`avatars models list` names it)."
        ) from None
    except _DAMAGED:
        raise InputError(
            f"{source} is truncated, damaged or no model file (it ends or breaks as a pickle). "
            "Download it again from the official site (`avatars models list` names it)."
        ) from None


def _steps(data: bytes) -> Iterator[tuple[str, Any]]:
    """Opcodes with their arguments, up to the end mark."""
    stream = io.BytesIO(data)
    while code := stream.read(1):
        opcode = _OPCODES[code]
        if opcode.name == "STRING":  # the standard library's own reader takes ASCII only
            yield opcode.name, _quoted(stream.readline())
        else:
            yield opcode.name, None if opcode.arg is None else opcode.arg.reader(stream)
        if opcode.name == "STOP":
            return
    raise EOFError


def _quoted(line: bytes) -> str:
    """The text of a Python 2 string literal."""
    quote, text = line[:1], line.rstrip(b"\n")
    if len(text) < 2 or quote not in (b"'", b'"') or text[-1:] != quote or not line.endswith(b"\n"):
        raise ValueError
    simple = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\", b"'": b"'", b'"': b'"'}

    def plain(match: re.Match[bytes]) -> bytes:
        kind = match[1]
        return bytes([int(kind[1:], 16)]) if kind[:1] == b"x" else simple[kind]

    return re.sub(rb"\\(x[0-9a-fA-F]{2}|.)", plain, text[1:-1]).decode("latin-1")


class _Machine:
    """The stack machine that a pickle is a programme for, without any instruction that calls."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        """What is left at the end."""
        (value,) = self.stack
        return value

    def step(self, opcode: str, argument: Any) -> None:
        """Carry out one opcode."""
        if opcode in _PUSHED:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in ("EMPTY_LIST", "EMPTY_SET"):
            self.stack.append([])
        elif opcode == "EMPTY_DICT":
            self.stack.append({})
        elif opcode == "MARK":
            self.marks.append(len(self.stack))
        elif opcode in _OUTSIDE:
            raise _Refused(f"asks for an object from outside the file (pickle opcode {opcode})")
        elif opcode in ("PROTO", "FRAME", "STOP") or self._remember(opcode, argument) or self._collect(opcode):
            pass
        else:
            self._record(opcode, argument)

    def _remember(self, opcode: str, argument: Any) -> bool:
        if opcode in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif opcode == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif opcode in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif opcode == "DUP":
            self.stack.append(self.stack[-1])
        elif opcode == "POP":
            self.stack.pop()
        else:
            return False
        return True

    def _collect(self, opcode: str) -> bool:
        """Lists, tuples, sets (kept as lists) and dictionaries."""
        if opcode in ("TUPLE1", "TUPLE2", "TUPLE3"):
            self.stack.append(tuple(self._top(int(opcode[-1]))))
        elif opcode == "TUPLE":
            self.stack.append(tuple(self._since_mark()))
        elif opcode in ("LIST", "FROZENSET"):
            self.stack.append(self._since_mark())
        elif opcode == "DICT":
            self.stack.append(_fill({}, self._since_mark()))
        elif opcode == "POP_MARK":
            self._since_mark()
        elif opcode in ("APPEND", "APPENDS", "ADDITEMS"):
            items = self._top(1) if opcode == "APPEND" else self._since_mark()
            list.extend(self.stack[-1], items)
        elif opcode in ("SETITEM", "SETITEMS"):
            items = self._top(2) if opcode == "SETITEM" else self._since_mark()
            _fill(self.stack[-1], items)
        else:
            return False
        return True

    def _record(self, opcode: str, argument: Any) -> None:
        """Whatever would import, call or build: only the wish is kept."""
        if opcode == "GLOBAL":
            self.stack.append(_name(*argument.split(" ", 1)))
        elif opcode == "STACK_GLOBAL":
            self.stack.append(_name(*self._top(2)))
        elif opcode == "INST":
            self.stack.append(Record(_name(*argument.split(" ", 1)).name, tuple(self._since_mark())))
        elif opcode == "OBJ":
            maker, *arguments = self._since_mark()
            self.stack.append(_made(maker, tuple(arguments)))
        elif opcode in ("REDUCE", "NEWOBJ"):
            self.stack.append(_made(*self._top(2)))
        elif opcode == "BUILD":
            (state,) = self._top(1)
            if not isinstance(self.stack[-1], Record):
                raise _Refused(f"changes an object of type '{type(self.stack[-1]).__name__}' (pickle opcode BUILD)")
            self.stack[-1].state = state
        else:
            raise _Refused(f"uses the pickle opcode {opcode}")

    def _top(self, count: int) -> list[Any]:
        if len(self.stack) < count + (self.marks[-1] if self.marks else 0):
            raise IndexError
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items


def _fill(target: Any, items: list[Any]) -> dict[Any, Any]:
    """Add keys and values by turns; keys are simple, since hashing nested ones can take for ever."""
    if not isinstance(target, dict):
        raise TypeError
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | bytes | int | float | None):
            raise TypeError
        target[key] = value
    return target


def _name(module: Any, name: Any) -> Name:
    full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "something without a name"
    if not _ALLOWED.fullmatch(full):
        raise _Refused(f"wants to use '{full[:200]}'")
    return Name(full)


def _made(maker: Any, arguments: Any) -> Record:
    if not isinstance(maker, Name):
        raise _Refused("wants to call something that is no class of an official file")
    if not isinstance(arguments, tuple):
        raise TypeError
    return Record(maker.name, arguments)
