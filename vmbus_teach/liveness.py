"""Which local variables of a suspended generator can still be read.

A value that no instruction will read again cannot make a difference. Leaving such values out of
a program's position lets the machine see that two positions are the same.

Every doubt is resolved towards "it can be read": an unknown instruction that names a variable
reads it, a jump may also fall through, and any instruction inside a ``try`` may end in its handler.
``del x`` counts as reading: it fails where x has no value.

What cannot be seen from the code: a function that is called and reads its caller's variables, as
debuggers do. If the program itself names one of the usual means to that, all its variables count.
"""

from __future__ import annotations

import dis
from functools import cache
from types import CodeType

#: Names through which a program could read a variable that no instruction names.
_PEEPHOLES = frozenset(
    {"locals", "vars", "eval", "exec", "dir", "_getframe", "currentframe", "breakpoint", "f_locals", "gi_frame"}
)


@cache
def live_after(code: CodeType) -> dict[int, frozenset[str]] | None:
    """For each instruction (by its offset): the variables that may be read after it; None if any may."""
    if _PEEPHOLES & set(code.co_names):
        return None
    instructions = list(dis.get_instructions(code))
    position = {instruction.offset: i for i, instruction in enumerate(instructions)}
    handlers = getattr(dis.Bytecode(code), "exception_entries", None)
    if handlers is None:
        return None

    follow: list[set[int]] = []
    reads: list[frozenset[str]] = []
    writes: list[frozenset[str]] = []
    for i, instruction in enumerate(instructions):
        after = {i + 1} if i + 1 < len(instructions) else set()
        if "JUMP" in instruction.opname or instruction.opname in ("FOR_ITER", "SEND"):
            if instruction.argval not in position:
                return None
            after.add(position[instruction.argval])
        for entry in handlers:
            if entry.start <= instruction.offset < entry.end:
                after.add(position[entry.target])
        follow.append(after)
        names = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
        mentioned = frozenset(name for name in names if isinstance(name, str) and "FAST" in instruction.opname)
        written = _written(instruction)
        reads.append(mentioned - written)
        writes.append(written)

    # Backwards until nothing changes.
    before = [frozenset[str]()] * len(instructions)
    after_each = [frozenset[str]()] * len(instructions)
    changed = True
    while changed:
        changed = False
        for i in reversed(range(len(instructions))):
            after_each[i] = frozenset().union(*(before[j] for j in follow[i]))
            here = reads[i] | (after_each[i] - writes[i])
            if here != before[i]:
                before[i], changed = here, True
    return {instruction.offset: after_each[i] for i, instruction in enumerate(instructions)}


def _written(instruction: dis.Instruction) -> frozenset[str]:
    """The variables that an instruction gives a new value before it reads any."""
    match instruction.opname:
        case "STORE_FAST":
            return frozenset({instruction.argval})
        case "STORE_FAST_STORE_FAST":  # since Python 3.13
            return frozenset(instruction.argval)
        case "STORE_FAST_LOAD_FAST":
            return frozenset(instruction.argval[:1])
    return frozenset()
