"""Chapter 05: a CPU goes offline while a channel's interrupt moves away from it, or to it.

On its way down a CPU first switches its SynIC off (hv_synic_cleanup, a callback of the hotplug states that may sleep
and may refuse), and much later, with all CPUs stopped, the kernel moves the Linux IRQs that still go there
(irq_migrate_all_off_this_cpu). The host is told of a new target by a message and changes over when it gets to it. What
it signals to a CPU whose SynIC is off is lost, and as it signals only when the ring was empty, the channel hangs.

(Source: "Hyper-V guests use Linux IRQs for channel interrupts", RFC of 3 June 2024, patches 10 to 12, with the answers
to patch 11; hv_synic_cleanup and target_cpu_store in Linux 6.1, drivers/hv; kernel/cpu.c and kernel/irq/cpuhotplug.c,
v6.1; today: 3a7f7785eae7.)

Simplified: one channel has traffic; the handler reads its ring at once; the host's answer (MODIFYCHANNEL_RESPONSE) is
counted at once, where it really comes as a message to CPU 0; the list of channels is looked through without
``channel_mutex``, which no setter here takes; all CPUs but the one that goes stay up.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Completion,
    CpuHotplugLock,
    EventFlagsPage,
    IrqDomain,
    MessagePort,
    RawSpinLock,
    Traffic,
    atomic_fetch_add,
    atomic_inc,
    complete,
    cpus_write_lock,
    cpus_write_unlock,
    hv_post_message,
    hv_signal_event,
    next_arrival,
    play_dead,
    raw_spin_lock,
    raw_spin_unlock,
    smp_cond_load_acquire,
    stop_machine,
    sync_test_and_clear_bit,
    usleep_range,
    wait_for_completion,
    xchg,
)
from ..scenario import at_end, thread
from .genirq import EBUSY, GenericIrq

RELID = 7
CPUS = (0, 1, 2)
STAYS, DYING = 1, 2  # two CPUs that a channel may interrupt; CPU 0 is the connect CPU
TRIES = 1  # how often a full page of flags is waited for; the kernel's HV_MAX_TRIES is 3


class CpuOffline(GenericIrq):
    """CPU 2 goes offline; an administrator moves a channel from ``origin`` to ``target``. As after patch 10."""

    cpus = len(CPUS)

    def setup(self, origin, target, messages=1):
        self.messages = messages
        lines = [self.add_interrupt(self.vmbus_isr, cpu, cpu=cpu, name=f"vmbus_isr_{cpu}") for cpu in CPUS]
        self.pages = tuple(EventFlagsPage(line) for line in lines)
        self.ring = Cell(0)  # messages in the channel's ring
        self.domain = IrqDomain("VMBus", (RELID,), self.handle_simple_irq)
        self.desc = self.domain.mapped(RELID)
        self.target_cpu = Cell(origin)  # VMBus's idea of the channel's CPU
        self.host_target = Cell(origin)  # the host's
        self.host_port = MessagePort(self.host_modifies)
        self.add_thread(self.set_affinity, target, cpu=0)
        self.cpu_online_mask = Cell(frozenset(CPUS))
        self.cpu_hotplug_lock = CpuHotplugLock()
        self.kicked, self.reported = Completion(), Completion()  # between cpu_down and the CPU's hotplug thread

    # --- the host ------------------------------------------------------------------------------

    @thread(host=True)
    def host_sends(self):
        for _ in range(self.messages):
            before = yield atomic_fetch_add(1, self.ring)  # puts a message into the ring
            if before == 0:
                yield from self.host_signals()

    def host_signals(self):
        yield hv_signal_event(RELID, self.host_target, self.pages)  # signals the CPU that is the target now

    def host_modifies(self, request):
        relid, cpu = request
        if relid == RELID:
            yield WRITE_ONCE(self.host_target, cpu)  # interrupts the new CPU from now on
        yield from self.host_answers()

    def host_answers(self):
        yield from ()

    # --- an interrupt ----------------------------------------------------------------------------

    def vmbus_isr(self, cpu):
        was_set = yield sync_test_and_clear_bit(RELID, self.pages[cpu])  # takes the event, whichever CPU this is
        if was_set:
            yield xchg(self.ring, 0)  # reads all that is in the ring

    # --- the administrator -------------------------------------------------------------------------

    def set_affinity(self, target):
        yield from self.irq_set_affinity(self.desc, frozenset({target}))

    def chip_set_affinity(self, desc, mask):
        return (yield from self.vmbus_irq_set_affinity(mask))

    def vmbus_irq_set_affinity(self, mask):
        origin = yield READ_ONCE(self.target_cpu)  # which CPU is it now?
        if origin not in mask:
            yield from self.retarget(min(mask))
        return 0

    def retarget(self, cpu):
        yield from self.send_modifychannel(RELID, cpu)
        yield WRITE_ONCE(self.target_cpu, cpu)  # notes the new target

    def send_modifychannel(self, relid, cpu):
        yield hv_post_message(self.host_port, (relid, cpu))  # asks the host to interrupt this CPU

    # --- taking a CPU down ---------------------------------------------------------------------------

    @thread(cpu=0)
    def cpu_down(self):
        yield cpus_write_lock(self.cpu_hotplug_lock)  # no CPU comes or goes meanwhile
        yield complete(self.kicked)  # has the CPU's hotplug thread begin
        yield wait_for_completion(self.reported)  # waits for it
        online = yield READ_ONCE(self.cpu_online_mask)  # looks whether the CPU has gone
        if DYING not in online:
            yield from self.after_the_cpu()
        yield cpus_write_unlock(self.cpu_hotplug_lock)  # CPUs may come and go again

    def after_the_cpu(self):
        """What is done when the CPU is dead (the kernel's states below CPUHP_TEARDOWN_CPU)."""
        yield from ()

    @thread(cpu=DYING)
    def cpuhp(self):
        yield wait_for_completion(self.kicked)  # begins
        error = yield from self.hv_synic_cleanup()
        if not error:
            yield from self.take_cpu_down()
        yield complete(self.reported)  # says that it is done

    def hv_synic_cleanup(self):
        found = yield from self.find_channel()
        if found:
            return -EBUSY
        pending = yield from self.wait_for_what_is_in_flight()
        if pending:
            return -EBUSY
        yield from self.hv_synic_disable_regs()
        return 0

    def find_channel(self):
        target_cpu = yield READ_ONCE(self.target_cpu)  # looks which CPU the channel interrupts
        return target_cpu == DYING

    def wait_for_what_is_in_flight(self):
        return (yield from self.hv_synic_event_pending())

    def hv_synic_event_pending(self):
        for _ in range(TRIES):
            if not (yield READ_ONCE(self.pages[DYING])):  # looks for event flags
                return False
            yield usleep_range(10_000, 20_000)  # leaves the interrupt handler some time
        return bool((yield READ_ONCE(self.pages[DYING])))

    def hv_synic_disable_regs(self):
        yield WRITE_ONCE(self.pages[DYING].enabled, False)  # switches the SynIC off

    def take_cpu_down(self):
        yield stop_machine()  # all other CPUs stand still
        yield WRITE_ONCE(self.cpu_online_mask, frozenset(CPUS) - {DYING})  # is not online any more
        yield from self.irq_migrate_all_off_this_cpu()
        yield play_dead()  # and is gone; the others go on

    def irq_migrate_all_off_this_cpu(self):
        """No channel's IRQ goes to this CPU by now: hv_synic_cleanup has seen to that, or refused."""
        yield from ()

    # --- what must hold ------------------------------------------------------------------------------

    @at_end
    def no_message_is_left(self, s):
        left = s[self.ring]
        return left == 0 or f"{left} in the ring, and nobody will be told"

    def outcome(self, s):
        return "refused" if DYING in s[self.cpu_online_mask] else "offline"


# --- why the kernel's own migration cannot be used -----------------------------------------------------------


class AutomaticMigration(CpuOffline):
    """hv_synic_cleanup does not refuse; the kernel moves the channel's IRQ away, as it moves others."""

    def setup(self, messages=1):
        super().setup(DYING, DYING, messages)  # nobody moves the channel before

    def find_channel(self):
        yield from ()
        return False

    def irq_migrate_all_off_this_cpu(self):
        yield raw_spin_lock(self.desc.lock)
        yield from self.irq_do_set_affinity(self.desc, frozenset(CPUS))
        yield raw_spin_unlock(self.desc.lock)


class MigrationSynicOffLast(AutomaticMigration):
    """The same, and the SynIC stays on until the CPU is gone."""

    def hv_synic_disable_regs(self):
        yield from ()

    def after_the_cpu(self):
        yield WRITE_ONCE(self.pages[DYING].enabled, False)  # switches the SynIC off


class MigrationThenLook(MigrationSynicOffLast):
    """Then another CPU waits for the host's answer and takes what was left on the page (our idea, in no patch)."""

    def setup(self, messages=1):
        super().setup(messages)
        self.answered = Cell(False)

    def host_answers(self):
        yield WRITE_ONCE(self.answered, True)  # answers, when it has changed over

    def after_the_cpu(self):
        yield smp_cond_load_acquire(self.answered, bool)  # waits until no flag can be set there any more
        yield from super().after_the_cpu()
        yield from self.vmbus_isr(DYING)


class MigrationLookTooEarly(MigrationThenLook):
    """The same, but the page is looked at before the host has answered."""

    def after_the_cpu(self):
        yield from self.vmbus_isr(DYING)
        yield smp_cond_load_acquire(self.answered, bool)


# --- race 11: the host has not changed over yet -----------------------------------------------------------


class Race11(CpuOffline):
    """The channel has just been moved away, the host does not know yet, and the CPU goes."""

    def setup(self, messages=1):
        super().setup(DYING, STAYS, messages)


class WaitsForModifychannel(Race11):
    """hv_synic_cleanup waits until the host has answered all requests of before; then it looks at the flags.

    Requests sent and answered are counted (``modchan_sent``, ``modchan_completed``). This one waits without end; the
    patch does not, see PollsFiveTimes.
    """

    def setup(self, messages=1):
        super().setup(messages)
        self.modchan_sent = Cell(0)
        self.modchan_completed = Cell(0)

    def send_modifychannel(self, relid, cpu):
        yield from super().send_modifychannel(relid, cpu)
        yield atomic_inc(self.modchan_sent)  # counts the request

    def host_answers(self):
        yield atomic_inc(self.modchan_completed)  # answers; the guest counts that

    def wait_for_what_is_in_flight(self):
        base = yield from self.requests_of_before()
        late = yield from self.hv_synic_wait_for_modifychannel(base)
        return late or (yield from self.hv_synic_event_pending())

    def requests_of_before(self):
        return (yield READ_ONCE(self.modchan_sent))  # how many requests have been sent by now?

    def hv_synic_wait_for_modifychannel(self, base):
        yield smp_cond_load_acquire(self.modchan_completed, at_least(base))  # waits until so many are answered
        return False


class PollsFiveTimes(WaitsForModifychannel):
    """As patch 11 does it: looks five times, 5 to 10 ms apart, and goes on in any case."""

    def hv_synic_wait_for_modifychannel(self, base):
        for _ in range(5):
            if (yield READ_ONCE(self.modchan_completed)) >= base:  # looks whether so many are answered
                break
            yield usleep_range(5_000, 10_000)  # gives the host some time
        return False


class PollsThenRefuses(WaitsForModifychannel):
    """As PollsFiveTimes, but where the host has not answered by then, the CPU stays."""

    def hv_synic_wait_for_modifychannel(self, base):
        for _ in range(5):
            if (yield READ_ONCE(self.modchan_completed)) >= base:  # looks whether so many are answered
                return False
            yield usleep_range(5_000, 10_000)  # gives the host some time
        return True


class SleepsOnly(Race11):
    """As patch 11 does it for a host that does not answer (before protocol 5.3): sleeps for 20 to 25 ms, and hopes."""

    def wait_for_what_is_in_flight(self):
        yield usleep_range(20_000, 25_000)  # gives the host some time
        return (yield from self.hv_synic_event_pending())


class LooksThenWaits(WaitsForModifychannel):
    """Looks at the flags first, and waits for the host then."""

    def wait_for_what_is_in_flight(self):
        pending = yield from self.hv_synic_event_pending()
        if pending:
            return True
        base = yield from self.requests_of_before()
        return (yield from self.hv_synic_wait_for_modifychannel(base))


class NeverLooks(WaitsForModifychannel):
    """Waits for the host, and does not look at the flags."""

    def hv_synic_event_pending(self):
        yield from ()
        return False


class SynicOffThenWaits(WaitsForModifychannel):
    """Switches the SynIC off first, and waits for the host then."""

    def wait_for_what_is_in_flight(self):
        yield from self.hv_synic_disable_regs()
        return (yield from super().wait_for_what_is_in_flight())


class CountedBeforeTheSearch(WaitsForModifychannel):
    """Notes how many requests have been sent before it looks for channels on this CPU, not after."""

    def hv_synic_cleanup(self):
        base = yield from super().requests_of_before()
        found = yield from self.find_channel()
        if found:
            return -EBUSY
        yield from self.hv_synic_wait_for_modifychannel(base)
        pending = yield from self.hv_synic_event_pending()
        if pending:
            return -EBUSY
        yield from self.hv_synic_disable_regs()
        return 0


class CountedAfterTheTarget(WaitsForModifychannel):
    """The request is counted when the new target has been noted, not before."""

    def retarget(self, cpu):
        yield hv_post_message(self.host_port, (RELID, cpu))  # asks the host to interrupt this CPU
        yield WRITE_ONCE(self.target_cpu, cpu)  # notes the new target
        yield atomic_inc(self.modchan_sent)  # counts the request


class HostLooksUpEarly(WaitsForModifychannel):
    """A host that looks its target up some time before it signals: then an answer does not mean that all is sent."""

    def setup(self, messages=1):
        super().setup(messages)
        self.looked_up = Cell(DYING)

    def host_signals(self):
        cpu = yield READ_ONCE(self.host_target)  # looks up which CPU to interrupt
        yield WRITE_ONCE(self.looked_up, cpu)
        yield hv_signal_event(RELID, self.looked_up, self.pages)  # and signals that one


class AnotherSetter(CpuOffline):
    """Somebody else moves channel 8 between other CPUs meanwhile; of that, only the request and its counting matter.

    Left out are the descriptors' locks (each setter would take another one) and the hotplug lock (no setter takes it).
    """

    @thread()
    def another_setter(self):
        yield from self.send_modifychannel(RELID + 1, STAYS)

    def set_affinity(self, target):
        yield from self.vmbus_irq_set_affinity(frozenset({target}))

    def cpu_down(self):
        yield complete(self.kicked)  # has the CPU's hotplug thread begin


class TwoSetters(AnotherSetter, WaitsForModifychannel):
    """Another channel is moved meanwhile. Patch 11 without patch 12; the counters are atomic, as was proposed."""


class TwoSettersCountedFirst(TwoSetters):
    """The same; a request is counted before it is posted (our idea; one that fails would have to be undone)."""

    def send_modifychannel(self, relid, cpu):
        yield atomic_inc(self.modchan_sent)  # counts the request
        yield hv_post_message(self.host_port, (relid, cpu))  # asks the host to interrupt this CPU


class TwoSettersPlainCount(TwoSetters):
    """The counter is read and written back, as the patch has it: one of two requests may not be counted."""

    def send_modifychannel(self, relid, cpu):
        yield hv_post_message(self.host_port, (relid, cpu))  # asks the host to interrupt this CPU
        sent = yield READ_ONCE(self.modchan_sent)  # reads how many were sent
        yield WRITE_ONCE(self.modchan_sent, sent + 1)  # writes back one more


class TwoSettersOneLock(TwoSettersPlainCount):
    """One lock for all setters, from the request to its counting: at the time of the RFC the generic layer had one.

    irq_do_set_affinity held ``tmp_mask_lock`` while it called the chip (v6.1), so that no two setters met. A patch of
    27 August 2024 made the mask per CPU and removed the lock; v6.18 is without it.
    """

    def setup(self, messages=1):
        super().setup(messages)
        self.tmp_mask_lock = RawSpinLock()

    def set_affinity(self, target):
        yield raw_spin_lock(self.tmp_mask_lock)
        yield from super().set_affinity(target)
        yield raw_spin_unlock(self.tmp_mask_lock)

    def another_setter(self):
        yield raw_spin_lock(self.tmp_mask_lock)
        yield from super().another_setter()
        yield raw_spin_unlock(self.tmp_mask_lock)


# --- race 11 in time -----------------------------------------------------------------------------------------


class InTime(Race11):
    """Packets come when ``packets`` says; the CPU is taken down as soon as the channel has been moved away."""

    def setup(self, messages=2):
        super().setup(messages)
        self.packets = Traffic()

    def host_sends(self):
        for _ in range(self.messages):
            yield next_arrival(self.packets)
            before = yield atomic_fetch_add(1, self.ring)  # puts a message into the ring
            if before == 0:
                yield from self.host_signals()

    def cpu_down(self):
        yield smp_cond_load_acquire(self.target_cpu, other_than_dying)  # begins when the channel has been moved
        yield from super().cpu_down()


class PollsInTime(InTime, PollsFiveTimes):
    """The same with five looks."""


class SleepsInTime(InTime, SleepsOnly):
    """The same with a sleep."""


def other_than_dying(cpu):
    """It is not the CPU that goes."""
    return cpu != DYING


def at_least(number):
    """The predicate that holds for all numbers from ``number`` on."""

    def answered(found):
        return found >= number

    return answered
