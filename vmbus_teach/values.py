"""Turning Python values into keys, so that equal keys mean indistinguishable values.

Python says ``1 == True == 1.0``; a program can tell them apart, so their keys differ. Mutable
values get a key of their content *and* of who shares them: two names for one list are not two
equal lists. Iterators are known by what they have yet to give. What has no readable content
(an open file, a generator of C code) raises ``Opaque``.
"""

from __future__ import annotations

import builtins
import types
from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any

from .kernel.base import Context, Fixed, ModelError, Shared

#: The mutable values met so far in one key, by identity, in the order of their meeting. The values
#: are kept: the identity of one that is gone could be given to another.
Met = dict[int, tuple[int, Any]]


def meet(value: Any, met: Met) -> Hashable | None:
    """A key that says which value this was met as before; None at the first meeting."""
    if id(value) in met:
        return ("met", met[id(value)][0])
    met[id(value)] = (len(met), value)
    return None


class Opaque(Exception):
    """A value with no readable content."""


def key(value: Any, met: Met | None = None) -> Hashable:
    """A hashable key of ``value``; raises Opaque where there can be none."""
    return _key(value, {} if met is None else met)


def _key(value: Any, met: Met) -> Hashable:
    kind = type(value)
    how = _KEYS.get(kind)
    if how is not None:
        return how(value, met)  # type: ignore[no-any-return]
    if isinstance(value, Fixed | type | Enum):
        return value  # itself: hashed by identity, and kept alive by the key
    if isinstance(value, tuple):  # a named tuple
        return (kind, tuple(_key(item, met) for item in value))
    if isinstance(value, BaseException):
        return _exception(value, met)
    return _instance(value, met)


def _atom(value: Any, met: Met) -> Hashable:
    return (type(value), value)


def _float(value: float, met: Met) -> Hashable:
    return (float, value.hex())  # tells 0.0 from -0.0, and one nan from no other


def _complex(value: complex, met: Met) -> Hashable:
    return (complex, value.real.hex(), value.imag.hex())


def _identity(value: Any, met: Met) -> Hashable:
    return (type(value), value)


def _items(value: Any, met: Met) -> Hashable:
    # In order of iteration: a program can tell two equal sets apart by their order.
    return (type(value), tuple(_key(item, met) for item in value))


def _once(what: Callable[[Any, Met], Hashable]) -> Callable[[Any, Met], Hashable]:
    """For mutable values: the content at the first meeting, only the identity after that."""

    def known(value: Any, met: Met) -> Hashable:
        return meet(value, met) or (type(value), what(value, met))

    return known


def _mapping(value: Any, met: Met) -> Hashable:
    return tuple((_key(k, met), _key(v, met)) for k, v in value.items())


def _sequence(value: Any, met: Met) -> Hashable:
    return tuple(_key(item, met) for item in value)


def _function(value: types.FunctionType, met: Met) -> Hashable:
    return (
        value.__code__,
        id(value.__globals__),
        _key(value.__defaults__, met),
        _key(value.__kwdefaults__, met),
        _key(value.__closure__, met),
    )


def _method(value: types.MethodType, met: Met) -> Hashable:
    return (types.MethodType, _key(value.__func__, met), _key(value.__self__, met))


def _builtin(value: Any, met: Met) -> Hashable:
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        return (type(value), value)
    return (type(value), value.__name__, _key(owner, met))


def _closure_cell(value: types.CellType, met: Met) -> Hashable:
    try:
        return _key(value.cell_contents, met)
    except ValueError:
        return "empty"


def _range(value: range, met: Met) -> Hashable:
    return (range, value.start, value.stop, value.step)


def _slice(value: slice, met: Met) -> Hashable:
    return (slice, _key((value.start, value.stop, value.step), met))


def _iterator(value: Any, met: Met) -> Hashable:
    try:
        state = value.__reduce__()
    except TypeError as error:
        raise Opaque(type(value).__name__) from error
    return _key(state, met)


def _iterator_of_a_set(value: Any, met: Met) -> Hashable:
    rest = list(value.__reduce__()[1][0])
    if len(rest) > 1 and not all(isinstance(item, int | Shared) for item in rest):
        raise ModelError(
            "a program goes through a set, whose order differs from run to run. Go through sorted(the_set)."
        )
    return _key(rest, met)


def _iterator_of_a_dict(value: Any, met: Met) -> Hashable:
    # Its __reduce__ lists what is left but not of which dictionary.
    return _key(value.__reduce__()[1][0], met)


def _exception(value: BaseException, met: Met) -> Hashable:
    if again := meet(value, met):
        return again
    trace, places = value.__traceback__, []
    while trace is not None:
        places.append((trace.tb_frame.f_code, trace.tb_lasti))
        trace = trace.tb_next
    inside = (value.args, vars(value), value.__cause__, value.__context__)
    return (type(value), tuple(places), _key(inside, met))


def _instance(value: Any, met: Met) -> Hashable:
    """An instance of a class written in Python: its attributes."""
    kind = type(value)
    plain = (
        kind.__reduce__ is object.__reduce__
        and kind.__reduce_ex__ is object.__reduce_ex__
        and "__getstate__" not in {name for c in kind.__mro__[:-1] for name in vars(c)}
        and all(c is object or c.__flags__ & _WRITTEN_IN_PYTHON for c in kind.__mro__)
    )
    if not plain:
        raise Opaque(kind.__name__)
    if again := meet(value, met):
        return again
    slots = [name for c in kind.__mro__ for name in _slots(c) if hasattr(value, name)]
    inside = (getattr(value, "__dict__", {}), [(name, getattr(value, name)) for name in slots])
    return (kind, _key(inside, met))


def _slots(kind: type) -> list[str]:
    names = vars(kind).get("__slots__", ())
    return [n for n in ([names] if isinstance(names, str) else names) if n not in ("__dict__", "__weakref__")]


_WRITTEN_IN_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE

_KEYS: dict[type, Callable[[Any, Met], Hashable]] = {
    **dict.fromkeys((int, bool, str, bytes, type(None), type(...), type(NotImplemented)), _atom),
    **dict.fromkeys((type, types.ModuleType, types.CodeType), _identity),
    **dict.fromkeys((tuple, frozenset), _items),
    **dict.fromkeys((list, set, bytearray), _once(_sequence)),
    **dict.fromkeys((type(iter(())), type(iter([])), type(iter("")), type(iter(b"")), type(iter(bytearray()))), _once(_iterator)),
    **dict.fromkeys((type(iter(range(0))), type(iter(range(1 << 70))), type(reversed([]))), _once(_iterator)),
    **dict.fromkeys((enumerate, zip, map, filter, reversed), _once(_iterator)),
    **dict.fromkeys((type(iter({})), type(iter({}.values())), type(iter({}.items()))), _once(_iterator_of_a_dict)),
    type(iter(set())): _once(_iterator_of_a_set),
    float: _float,
    complex: _complex,
    dict: _once(_mapping),
    range: _range,
    slice: _slice,
    types.FunctionType: _once(_function),
    types.MethodType: _method,
    types.BuiltinFunctionType: _builtin,
    types.CellType: _once(_closure_cell),
}


# --- values in shared state ----------------------------------------------------------------


def storable(value: Any) -> Any:
    """``value`` as it is kept in shared state: immutable, with its sets in one fixed order.

    Raises ModelError for a value that could change behind the machine's back.
    """
    if isinstance(value, frozenset):
        return frozenset(sorted(map(storable, value), key=_order))
    if type(value) is tuple:
        return tuple(map(storable, value))
    if isinstance(value, tuple):
        return type(value)(*map(storable, value))
    if isinstance(value, list | set | dict | bytearray):
        better = {"list": "tuple", "set": "frozenset", "dict": "tuple of pairs", "bytearray": "bytes"}
        kind = type(value).__name__
        raise ModelError(
            f"a cell cannot hold a {kind} ({value!r}): it could be changed without a step. Use a {better[kind]}."
        )
    try:
        key(value)
    except Opaque:
        raise ModelError(
            f"a cell cannot hold {value!r}: the machine cannot see what is in a {type(value).__name__}. "
            "Use numbers, strings, tuples, frozensets, or kernel objects that setup made."
        ) from None
    if isinstance(value, types.FunctionType | types.MethodType | Fixed | type | Enum):
        return value
    if type(value).__module__ != builtins.__name__ and not getattr(type(value), "__dataclass_params__", None):
        raise ModelError(
            f"a cell cannot hold {value!r}: a {type(value).__name__} can be changed without a step. "
            "Use a frozen dataclass, a tuple, or a Struct's object."
        )
    return value


def _order(value: Any) -> tuple[str, Any]:
    """Sorts the members of a set, whatever they are, the same way in every run."""
    if isinstance(value, Shared):
        return ("shared", (value._serial,))
    if isinstance(value, Context):
        return ("context", (value.index,))
    if isinstance(value, int):
        return ("int", (int(value), type(value).__name__))
    return (type(value).__name__, (repr(value),))
