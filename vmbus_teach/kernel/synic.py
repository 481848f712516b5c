"""The SynIC: how the hypervisor reaches a CPU of the guest, and how the guest reaches the host.

Below, first the message slot: one message at a time, from the hypervisor to a CPU of the guest.

A slot is empty while its type is HVMSG_NONE. A message for a full slot waits in the hypervisor, and the flag
``msg_pending`` in the slot says so; it may be set at any time. A guest that has emptied the slot and finds
the flag set must write to the EOM register, for the hypervisor to look again (source: Hypervisor Top Level
Functional Specification, HV_MESSAGE).

What the hypervisor does here is one step: the guest cannot see it half done. (KVM's own SynIC is built so, and says
which order the specification wants otherwise: synic_deliver_msg in arch/x86/kvm/hyperv.c.) Not modelled: the hypervisor
also looks again after the end of an interrupt (EOI).

Then the event flags: a bit for each channel. A CPU whose SynIC is off is told nothing: what is signalled to it is lost
(source: the same specification, HvCallSignalEvent). Last the way back: messages of the guest, which the host takes in
their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from .base import Context, ModelError, Now, Operation, Program, Shared, check_program, listed, show
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


# --- event flags -----------------------------------------------------------------------------------


class EventFlagsPage(Cell):
    """A CPU's page of event flags: a word with a bit for each relid.

    ``enabled`` is a cell that says whether the CPU's SynIC is on; ``line`` is the interrupt that tells of a flag.
    """

    def __init__(self, line: Interrupt) -> None:
        if not isinstance(line, Interrupt):
            raise ModelError(
                f"EventFlagsPage takes the interrupt that tells of an event, not {show(line)}. In setup, write "
                "EventFlagsPage(self.vmbus_isr), naming a method with @interrupt."
            )
        super().__init__(0, words=lambda word: listed(str(nr) for nr in range(word.bit_length()) if word >> nr & 1))
        self.enabled = Cell(True)
        self.line = line

    def parts(self) -> Iterator[tuple[str, Shared]]:
        yield ".enabled", self.enabled


class hv_signal_event(Operation):
    """The host signals channel ``relid`` to the CPU whose number ``target`` holds; ``pages`` has a page for each CPU.

    The flag is set, and if it was clear, the interrupt is raised. The host's look-up and what the hypervisor does are
    one step: so a host that has changed ``target`` signals to the old CPU no more.
    """

    relid: int
    target: Cell
    pages: tuple[EventFlagsPage, ...]
    host: ClassVar[bool] = True

    def raises(self, state: Any) -> Iterator[Interrupt]:
        page = self.pages[state[self.target]]
        if state[page.enabled] and not state[page] >> self.relid & 1:
            yield from raise_irq(page.line).raises(state)

    def step(self, now: Now) -> None:
        page = self.pages[now[self.target]]
        if now[page.enabled] and not now[page] >> self.relid & 1:
            now[page] |= 1 << self.relid
            raise_irq(page.line).step(now)

    def __str__(self) -> str:
        return f"hv_signal_event({self.relid}, {self.target!r})"


# --- from the guest to the host ------------------------------------------------------------------------


class MessagePort(Shared):
    """Where the guest posts messages for the host; its value are those that wait.

    The host executes ``program(message)`` for each of them, one after the other, in the order of their posting.
    """

    def __init__(self, program: Program) -> None:
        check_program(program, "MessagePort")
        super().__init__((), words=listed)
        self.program = program
        self.host = HostTakes(self)

    def contexts(self) -> Iterator[Context]:
        self.host.name = f"host_{self.program.__name__.removeprefix('host_')}"
        yield self.host


class HostTakes(Context):
    """The host's side of a port: does something only while there are messages."""

    kind = "host"

    def __init__(self, port: MessagePort) -> None:
        super().__init__("host", None)
        self.port = port

    def finish(self, now: Now) -> None:
        if now[self.port]:
            now.wake(self, _take_message(self.port))


class hv_post_message(Operation):
    """The guest posts a message to the host (a hypercall: one step)."""

    port: MessagePort
    message: Any

    def step(self, now: Now) -> None:
        now[self.port] = (*now[self.port], self.message)
        if now.asleep(self.port.host):
            now.wake(self.port.host, _take_message(self.port))


class _take_message(Operation):
    """The host takes the first message."""

    port: MessagePort
    host: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        message, *rest = now[self.port]
        now[self.port] = tuple(rest)
        now.start(now.context, self.port.program, (message,))

    def __str__(self) -> str:
        return "the host takes a message"
