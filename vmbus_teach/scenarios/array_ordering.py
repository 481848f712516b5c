"""Chapter 03: what release and a full barrier promise, shown with a store buffer that is made by hand.

The machine's own memory is sequentially consistent: a store is seen by everybody at once, so it cannot tell
``WRITE_ONCE``, ``smp_store_release`` and ``virt_store_mb`` apart. Here a store goes into a buffer first, and a context
of its own, "the hardware", takes it to memory later. This is a picture of what the three words mean, made by hand,
and no model of a real processor. A real one has more ways to reorder; and on the kernel's way from the map to the
first interrupt stand other barriers, which are left out here (a mutex, a queue, a hypercall): the request to the host
goes past the buffer, as if nothing at all kept the two in order.

The argument is that of the review, 26 March to 3 April 2020: a release orders what was written before it, the
channel's *contents*; it does not say *when* the pointer can be seen.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    raise_irq,
    smp_cond_load_acquire,
)
from ..scenario import Scenario, at_end, interrupt, thread

RELID = 7
NOTHING = None


class BufferedOnce(Scenario):
    """A CPU that may take its stores to memory in any order, and a pointer stored by WRITE_ONCE."""

    cpus = 2
    in_order = False  # whether the buffer is a queue, as x86 has it
    release = False  # whether the second store waits for the first

    def setup(self):
        self.contents = Cell("old")  # of the channel
        self.channels = {RELID: Cell(None)}
        self.buffer = {"contents": Cell(NOTHING), "channels": Cell(NOTHING)}  # stores of CPU 0, on their way
        self.openchannel = Cell(0)  # the request to the host
        self.used = Cell(None)  # the contents that the handler has seen

    # --- CPU 0 ---------------------------------------------------------------------------------

    @thread(cpu=0)
    def vmbus_process_offer(self):
        yield WRITE_ONCE(self.buffer["contents"], "new")  # stores the contents; they are on their way
        yield WRITE_ONCE(self.buffer["channels"], "channel")  # stores the pointer; it is on its way
        yield from self.after_the_store()
        yield WRITE_ONCE(self.openchannel, 1)  # asks the host; the request does not go through the buffer

    def after_the_store(self):
        yield from ()

    # --- the hardware ----------------------------------------------------------------------------

    @thread(host=True)
    def contents_arrive(self):
        contents = yield smp_cond_load_acquire(self.buffer["contents"], is_something)  # waits for the store
        yield WRITE_ONCE(self.contents, contents)  # the contents reach memory
        yield WRITE_ONCE(self.buffer["contents"], NOTHING)

    @thread(host=True)
    def pointer_arrives(self):
        pointer = yield smp_cond_load_acquire(self.buffer["channels"], is_something)  # waits for the store
        if self.in_order or self.release:
            yield smp_cond_load_acquire(self.buffer["contents"], is_nothing)  # not before what was stored before it
        yield WRITE_ONCE(self.channels[RELID], pointer)  # the pointer reaches memory
        yield WRITE_ONCE(self.buffer["channels"], NOTHING)

    # --- the host, and CPU 1 -----------------------------------------------------------------------

    @thread(host=True)
    def host_signals(self):
        yield smp_cond_load_acquire(self.openchannel, bool)  # takes the request
        yield raise_irq(self.vmbus_isr)  # signals

    @interrupt(cpu=1)
    def vmbus_isr(self):
        channel = yield READ_ONCE(self.channels[RELID])  # looks the channel up
        if channel is None:
            yield WRITE_ONCE(self.used, "no channel")  # finds nothing
            return
        contents = yield READ_ONCE(self.contents)  # uses the channel
        yield WRITE_ONCE(self.used, contents)  # for the record

    @at_end
    def the_handler_finds_the_channel(self, s):
        return s[self.used] != "no channel" or "it found nothing: the event is lost"

    @at_end
    def the_contents_are_new(self, s):
        return s[self.used] != "old" or "it saw the channel as it was before"

    def outcome(self, s):
        return s[self.used]


def is_something(stored):
    """Something is on its way."""
    return stored is not NOTHING


def is_nothing(stored):
    """Nothing is on its way."""
    return stored is NOTHING


class BufferedRelease(BufferedOnce):
    """The pointer stored by smp_store_release: it does not overtake the contents."""

    release = True


class BufferedFullBarrier(BufferedOnce):
    """The pointer stored by smp_store_mb: CPU 0 goes on only when all has reached memory."""

    def after_the_store(self):
        for stores in self.buffer.values():
            yield smp_cond_load_acquire(stores, is_nothing)  # the full barrier: waits until the buffer is empty


class QueueOnce(BufferedOnce):
    """As BufferedOnce, on a CPU that takes its stores to memory in their order."""

    in_order = True
