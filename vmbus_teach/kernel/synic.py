"""The SynIC's message slot: one message at a time, from the hypervisor to a CPU of the guest.

A slot is empty while its type is HVMSG_NONE. A message for a full slot waits in the hypervisor, and the flag
``msg_pending`` in the slot says so; it may be set at any time. A guest that has emptied the slot and finds
the flag set must write to the EOM register, for the hypervisor to look again (source: Hypervisor Top Level
Functional Specification, HV_MESSAGE).

What the hypervisor does here is one step: the guest cannot see it half done. (KVM's own SynIC is built so, and says
which order the specification wants otherwise: synic_deliver_msg in arch/x86/kvm/hyperv.c.) Not modelled: the hypervisor
also looks again after the end of an interrupt (EOI).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from .base import ModelError, Now, Operation, Shared, listed, show
from .interrupts import Interrupt, raise_irq
from .memory import Cell

HVMSG_NONE = 0
HVMSG_CHANNEL = 1  # what VMBus sends; the kernel writes the bare number
HVMSG_TIMER_EXPIRED = 0x80000010

_WORDS = {HVMSG_NONE: "HVMSG_NONE", HVMSG_CHANNEL: "a channel message", HVMSG_TIMER_EXPIRED: "HVMSG_TIMER_EXPIRED"}


def _type_in_words(message_type: Any) -> str:
    return _WORDS.get(message_type) or show(message_type)


class MessageSlot(Shared):
    """A CPU's message slot. Its own value are the messages that wait in the hypervisor, as (type, payload).

    ``message_type``, ``payload`` and ``msg_pending`` are cells in the page that guest and hypervisor share;
    ``line`` is the interrupt that tells of a message.
    """

    def __init__(self, line: Interrupt) -> None:
        if not isinstance(line, Interrupt):
            raise ModelError(
                f"MessageSlot takes the interrupt that tells of a message, not {show(line)}. In setup, write "
                "MessageSlot(self.vmbus_isr), naming a method with @interrupt."
            )
        super().__init__((), words=lambda waiting: listed(show(payload) for _, payload in waiting))
        self.message_type = Cell(HVMSG_NONE, words=_type_in_words)
        self.payload = Cell(None)
        self.msg_pending = Cell(False)
        self.line = line

    def parts(self) -> Iterator[tuple[str, Shared]]:
        yield ".message_type", self.message_type
        yield ".payload", self.payload
        yield ".msg_pending", self.msg_pending

    def refill(self, now: Now) -> None:
        """The hypervisor puts the first message that waits into the slot, if that is empty."""
        waiting = now[self]
        if waiting and now[self.message_type] == HVMSG_NONE:
            (now[self.message_type], now[self.payload]), *rest = waiting
            waiting = tuple(rest)
            raise_irq(self.line).step(now)
        now[self] = waiting
        now[self.msg_pending] = bool(waiting)


class synic_post_message(Operation):
    """The hypervisor takes a message for the slot: into it and raise the interrupt, or wait if it is full."""

    slot: MessageSlot
    message_type: int
    payload: Any
    host: ClassVar[bool] = True

    def raises(self, state: Any) -> Iterator[Interrupt]:
        if state[self.slot.message_type] == HVMSG_NONE:
            yield self.slot.line

    def step(self, now: Now) -> None:
        now[self.slot] = (*now[self.slot], (self.message_type, self.payload))
        self.slot.refill(now)


class hv_signal_eom(Operation):
    """Writes the EOM register: the hypervisor puts the next message into the slot, if that is empty."""

    slot: MessageSlot

    def raises(self, state: Any) -> Iterator[Interrupt]:
        if state[self.slot] and state[self.slot.message_type] == HVMSG_NONE:
            yield self.slot.line

    def step(self, now: Now) -> None:
        self.slot.refill(now)
