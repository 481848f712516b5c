"""Turning Python values into keys, so that equal keys mean indistinguishable values.

Python says ``1 == True == 1.0``; a program can tell them apart, so their keys differ. Mutable
values get a key of their content *and* of who shares them: two names for one list are not two
equal lists. Iterators are known by what they have yet to give. What has no readable content
(an open file, a lock, most objects that are written in C) raises ``Opaque``.

Not told apart are two immutable values that differ only by ``is``: Python itself promises nothing
there. Classes and modules are known by their identity, so by nothing that is assigned to them.
"""

from __future__ import annotations

import dataclasses
import gc
import struct
import types
from collections.abc import Callable, Hashable, Iterator
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


#: These are known by their identity. (A tuple: a union of types would be made anew for each question.)
_ITSELF = (Fixed, type, Enum)


class Opaque(Exception):
    """A value with no readable content."""


def key(value: Any, met: Met | None = None) -> Hashable:
    """A hashable key of ``value``; raises Opaque where there can be none."""
    return _key(value, {} if met is None else met)


def _key(value: Any, met: Met) -> Hashable:
    kind = type(value)
    how = _KEYS.get(kind)
    if how is not None:
        return how(value, met)
    if isinstance(value, _ITSELF):
        return value  # itself: hashed by identity, and kept alive by the key
    if isinstance(value, tuple):  # a named tuple, or another subclass
        return (kind, tuple([_key(item, met) for item in value]), _key(getattr(value, "__dict__", None), met))
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
    return (type(value), tuple([_key(item, met) for item in value]))


def _once(what: Callable[[Any, Met], Hashable]) -> Callable[[Any, Met], Hashable]:
    """For mutable values: the content at the first meeting, only the identity after that."""

    def known(value: Any, met: Met) -> Hashable:
        return meet(value, met) or (type(value), what(value, met))

    return known


def _mapping(value: Any, met: Met) -> Hashable:
    return tuple([(_key(k, met), _key(v, met)) for k, v in value.items()])


def _sequence(value: Any, met: Met) -> Hashable:
    return tuple([_key(item, met) for item in value])


def _function(value: types.FunctionType, met: Met) -> Hashable:
    return (
        value.__code__,
        id(value.__globals__),
        _key((value.__defaults__, value.__kwdefaults__, value.__closure__, value.__dict__), met),
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


def _view(value: Any, met: Met) -> Hashable:
    return (type(value), _key(_gone_through(value), met))


def _iterator(value: Any, met: Met) -> Hashable:
    return _key(_reduced(value), met)


def _iterator_of_a_set(value: Any, met: Met) -> Hashable:
    rest = list(_reduced(value)[1][0])
    if len(rest) > 1 and not all(isinstance(item, int | Shared) for item in rest):
        raise ModelError(
            "a program goes through a set, whose order differs from run to run. Go through sorted(the_set)."
        )
    return (_key(rest, met), _key(_gone_through(value), met))


def _iterator_of_a_dict(value: Any, met: Met) -> Hashable:
    return (_key(_reduced(value)[1][0], met), _key(_gone_through(value), met))


def _reduced(iterator: Any) -> Any:
    """How copy and pickle would describe the iterator."""
    try:
        return iterator.__reduce__()
    except (TypeError, RuntimeError) as error:  # a part that cannot be pickled; or changed while gone through
        raise Opaque(type(iterator).__name__) from error


def _gone_through(iterator: Any) -> list[Any]:
    """The dictionary or set behind an iterator or a view, which its ``__reduce__`` does not name."""
    return [x for x in gc.get_referents(iterator) if isinstance(x, dict | set | frozenset)]


def _exception(value: BaseException, met: Met) -> Hashable:
    if again := meet(value, met):
        return again
    trace, places = value.__traceback__, []
    while trace is not None:
        places.append((trace.tb_frame.f_code, trace.tb_lasti))
        trace = trace.tb_next
    inside = (value.args, vars(value), value.__cause__, value.__context__, _members(value))
    return (type(value), tuple(places), _key(inside, met))


def _instance(value: Any, met: Met) -> Hashable:
    """An instance of a class written in Python: its attributes."""
    if not _is_all_attributes(type(value)):
        raise Opaque(type(value).__name__)
    return meet(value, met) or (type(value), _key((getattr(value, "__dict__", None), _members(value)), met))


def _is_all_attributes(kind: type) -> bool:
    """Whether attributes and slots are all that is in an instance.

    Two signs that there is more: a class that describes itself to pickle and copy; and bytes of
    the instance that no attribute accounts for, which is what a class written in C keeps hidden.
    """
    describes_itself = {"__reduce__", "__reduce_ex__", "__getstate__"}
    if any(describes_itself & vars(c).keys() for c in kind.__mro__ if c is not object):
        return False
    members = (member for c in kind.__mro__ for member in vars(c).values())
    pointers = sum(isinstance(member, types.MemberDescriptorType) for member in members)
    pointers += (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ > 0)  # below 0: not in these bytes
    known = object.__basicsize__ + pointers * struct.calcsize("P")
    return not kind.__itemsize__ and kind.__basicsize__ <= known


def _members(value: Any) -> list[tuple[str, Any]]:
    """What lies in slots; for exceptions also what their C code keeps beside ``args``."""

    def found() -> Iterator[tuple[str, Any]]:
        for kind in type(value).__mro__:
            for name, member in vars(kind).items():
                if isinstance(member, types.MemberDescriptorType):
                    try:
                        yield f"{kind.__name__}.{name}", member.__get__(value)
                    except AttributeError:
                        pass  # an empty slot

    return list(found())


_KEYS: dict[type, Callable[[Any, Met], Hashable]] = {
    **dict.fromkeys((int, bool, str, bytes, type(None), type(...), type(NotImplemented)), _atom),
    **dict.fromkeys((type, types.ModuleType, types.CodeType, types.MethodDescriptorType), _identity),
    **dict.fromkeys((types.WrapperDescriptorType, types.ClassMethodDescriptorType), _identity),
    **dict.fromkeys((tuple, frozenset), _items),
    **dict.fromkeys((list, set, bytearray), _once(_sequence)),
    **dict.fromkeys((type(iter(())), type(iter([])), type(iter(b""))), _once(_iterator)),
    **dict.fromkeys((type(iter("")), type(iter("\u0394"))), _once(_iterator)),  # two kinds of str iterator
    **dict.fromkeys((type(iter(bytearray())), type(iter(range(0))), type(iter(range(1 << 70)))), _once(_iterator)),
    **dict.fromkeys((type(reversed([])), enumerate, zip, map, filter, reversed), _once(_iterator)),
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
    **dict.fromkeys((type({}.keys()), type({}.values()), type({}.items())), _view),
}


# --- values in shared state ----------------------------------------------------------------

#: What to use instead of a value that could be changed without a step.
_BETTER = {list: "a tuple", set: "a frozenset", dict: "a tuple of pairs", bytearray: "bytes"}
_IMMUTABLE = (int, bool, str, bytes, float, complex, range, type(None), type(...), type(NotImplemented))


def storable(value: Any) -> Any:
    """``value`` as it is kept in shared state: immutable, with its sets in one fixed order.

    Raises ModelError for a value that could change behind the machine's back.
    """
    kind = type(value)
    if kind in _IMMUTABLE or isinstance(value, _ITSELF):
        return value
    if kind is frozenset:
        return frozenset(sorted(map(storable, value), key=_order))
    if kind is tuple:
        return tuple(map(storable, value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind(*map(storable, value))
    if dataclasses.is_dataclass(kind) and getattr(kind, "__dataclass_params__").frozen:  # noqa: B009 (not in the stubs)
        for field in dataclasses.fields(value):
            storable(getattr(value, field.name))
        if _has_a_key(value):
            return value
    if isinstance(value, types.FunctionType | types.MethodType | types.BuiltinFunctionType) and _has_a_key(value):
        return value
    for mutable, better in _BETTER.items():
        if isinstance(value, mutable):
            raise ModelError(
                f"a cell cannot hold a {kind.__name__} ({value!r}): it could be changed without a step. Use {better}."
            )
    if isinstance(value, BaseException) or _has_a_key(value):
        raise ModelError(
            f"a cell cannot hold {value!r}: a {kind.__name__} can be changed without a step. "
            "Use a frozen dataclass, a tuple, or a Struct's object."
        )
    raise ModelError(
        f"a cell cannot hold {value!r}: the machine cannot see what is in a {kind.__name__}. "
        "Use numbers, strings, tuples, frozensets, or kernel objects that setup made."
    )


def _has_a_key(value: Any) -> bool:
    try:
        key(value)
    except Opaque:
        return False
    return True


def _order(value: Any) -> tuple[str, Any]:
    """Sorts the members of a set, whatever they are, the same way in every run."""
    if isinstance(value, Shared):
        return ("shared", (value._serial,))
    if isinstance(value, Context):
        return ("context", (value.index,))
    if isinstance(value, int):
        return ("int", (int(value), type(value).__name__))
    return (type(value).__name__, (repr(value),))
