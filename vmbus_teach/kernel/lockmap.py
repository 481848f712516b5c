"""What lockdep is told of locks, and of what waits like one: classes, ways to take, wait types.

A family of operations says what it takes (``Operation.takes``), a piece of state who holds it (``Shared.holders``).
The rules are elsewhere; here is only what the two speak of.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .base import Shared


class How(IntEnum):
    """How something is taken: what stops it, and what it stops."""

    EXCLUSIVE = 0
    #: Beside other readers, but not past a writer that waits (``cpus_read_lock``).
    READ = 1
    #: Beside other readers, whoever waits (``srcu_read_lock``).
    RECURSIVE_READ = 2
    #: Until nobody holds it; nothing is held afterwards (``synchronize_srcu``, ``flush_work``).
    WAIT = 3

    @property
    def reads(self) -> bool:
        """Whether it can be held together with other readers."""
        return self in (How.READ, How.RECURSIVE_READ)


class WaitType(IntEnum):
    """What waiting for a lock means: spinning always; sleeping on a real-time kernel; sleeping.

    The kernel's LD_WAIT_SPIN, LD_WAIT_CONFIG and LD_WAIT_SLEEP (include/linux/lockdep_types.h, v6.1).
    """

    FREE = 1
    SPIN = 2
    CONFIG = 3
    SLEEP = 4

    @property
    def word(self) -> str:
        """What a reader knows it by."""
        return {1: "never waits", 2: "raw spinlock", 3: "spinlock", 4: "sleeps"}[self]


class Acquisition(NamedTuple):
    """That ``lock`` is taken or held. ``subclass`` is the annotation of ``spin_lock_nested`` and the like.

    ``irqs_off`` and ``bh_off`` say what the operation switches off before it takes the lock.
    """

    lock: Shared
    how: How = How.EXCLUSIVE
    subclass: int = 0
    irqs_off: bool = False
    bh_off: bool = False

    @property
    def lock_class(self) -> str:
        """The name of its lock class, as the kernel writes one with a subclass: ``ap_list_lock/1``."""
        return self.lock.lock_class() + (f"/{self.subclass}" if self.subclass else "")


def without_indices(name: str) -> str:
    """A name without what tells several of a kind apart: ``ap_list_lock[1]`` and ``irq#2.lock`` lose their numbers."""
    return re.sub(r"\[\d+\]|#\d+", "", name)
