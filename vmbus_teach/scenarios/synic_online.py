"""Chapter 05: a channel's interrupt moves to a CPU that is going offline (race 12), and patches 11 and 12 together.

As in ``cpu_offline.py``. The CPU has been looked through already, and no channel interrupts it; until it has left
cpu_online_mask, a setter can still choose it.

(Source: "Hyper-V guests use Linux IRQs for channel interrupts", RFC of 3 June 2024, patch 12, and the answers to it.)
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    SpinLock,
    cpus_read_lock,
    cpus_read_unlock,
    hv_post_message,
    load,
    spin_lock,
    spin_unlock,
    store,
    synchronize_rcu,
)
from ..scenario import at_end
from .cpu_offline import CPUS, DYING, STAYS, AnotherSetter, CpuOffline, WaitsForModifychannel
from .genirq import EBUSY, EINVAL


class Race12(CpuOffline):
    """No channel interrupts the CPU, so it goes; until it has left cpu_online_mask, one can still be moved there."""

    def setup(self, messages=1):
        super().setup(STAYS, DYING, messages)


class Race12BeforeTheSeries(Race12):
    """The only door as it was before: target_cpu_store holds cpus_read_lock, cpu_down cpus_write_lock."""

    def set_affinity(self, target):
        yield cpus_read_lock(self.cpu_hotplug_lock)  # no CPU comes or goes meanwhile
        online = yield READ_ONCE(self.cpu_online_mask)  # which CPUs are there?
        if target in online:
            yield from self.retarget(target)
        yield cpus_read_unlock(self.cpu_hotplug_lock)  # CPUs may come and go again


class SynicOnline(Race12):
    """As patch 12 does it: the CPU's bit in ``synic_online`` is cleared before channels are looked for.

    Under ``set_affinity_lock``, which a setter holds from its look at the bit until it has noted the new target.
    """

    def setup(self, messages=1):
        super().setup(messages)
        self.synic_online = Cell(frozenset(CPUS))
        self.set_affinity_lock = SpinLock()

    def vmbus_irq_set_affinity(self, mask):
        yield from self.lock()
        error = yield from self.look_and_retarget(mask)
        yield from self.unlock()
        return error

    def look_and_retarget(self, mask):
        synic_online = yield READ_ONCE(self.synic_online)  # whose SynIC stays on?
        if not mask & synic_online:
            return -EINVAL
        return (yield from super().vmbus_irq_set_affinity(mask & synic_online))

    def hv_synic_cleanup(self):
        error = yield from super().hv_synic_cleanup()
        if error:
            yield from self.set_online()
        return error

    def set_online(self):
        yield WRITE_ONCE(self.synic_online, frozenset(CPUS))  # the CPU stays after all

    def find_channel(self):
        yield from self.lock()
        yield from self.clear_online()
        found = yield from super().find_channel()
        yield from self.unlock()
        return found

    def clear_online(self):
        yield WRITE_ONCE(self.synic_online, frozenset(CPUS) - {DYING})  # no channel may come any more

    def lock(self):
        yield spin_lock(self.set_affinity_lock)

    def unlock(self):
        yield spin_unlock(self.set_affinity_lock)

    @at_end
    def who_stays_can_be_chosen(self, s):
        missing = s[self.cpu_online_mask] - s[self.synic_online]
        return not missing or f"CPU {min(missing)} is online, and no channel may be moved there"


class NoLock(SynicOnline):
    """The bit, and no lock."""

    def lock(self):
        yield from ()

    unlock = lock


class LockAroundTheLook(SynicOnline):
    """A setter holds the lock while it looks at the bit, and no longer."""

    def vmbus_irq_set_affinity(self, mask):
        yield from self.lock()
        synic_online = yield READ_ONCE(self.synic_online)  # whose SynIC stays on?
        yield from self.unlock()
        if not mask & synic_online:
            return -EINVAL
        return (yield from Race12.vmbus_irq_set_affinity(self, mask & synic_online))


class ClearedAfterTheSearch(SynicOnline):
    """The bit is cleared when the CPU has been looked through."""

    def find_channel(self):
        yield from self.lock()
        found = yield from Race12.find_channel(self)
        yield from self.unlock()
        yield from self.clear_online()
        return found


class SearchedThenCleared(SynicOnline):
    """The same, with both under the lock."""

    def find_channel(self):
        yield from self.lock()
        found = yield from Race12.find_channel(self)
        yield from self.clear_online()
        yield from self.unlock()
        return found


class NeverSetOnlineAgain(SynicOnline):
    """Where the CPU stays after all, its bit stays cleared."""

    def set_online(self):
        yield from ()


class CpusLockInTheChip(Race12):
    """The lock of before, taken behind both doors: in vmbus_irq_set_affinity."""

    def vmbus_irq_set_affinity(self, mask):
        yield cpus_read_lock(self.cpu_hotplug_lock)
        error = yield from super().vmbus_irq_set_affinity(mask)
        yield cpus_read_unlock(self.cpu_hotplug_lock)  # CPUs may come and go again
        return error


class LooksTwice(Race12):
    """No bit and no lock: hv_synic_cleanup looks for channels once more, when it has switched the SynIC off."""

    def hv_synic_cleanup(self):
        error = yield from super().hv_synic_cleanup()
        if error:
            return error
        found = yield from self.find_channel()
        if found:
            yield WRITE_ONCE(self.pages[DYING].enabled, True)  # switches the SynIC on again
            return -EBUSY
        return 0


class GracePeriodInsteadOfLock(NoLock):
    """No lock: between clearing the bit and looking for channels, a grace period (a setter has interrupts off)."""

    def clear_online(self):
        yield from super().clear_online()
        yield synchronize_rcu()  # who has seen the bit is done by now


# --- all of it ------------------------------------------------------------------------------------------------


class PatchedBothWays(SynicOnline, WaitsForModifychannel):
    """Patches 11 and 12 together, for a channel that moves away and one that comes."""

    def setup(self, origin=DYING, target=STAYS, messages=1):
        CpuOffline.setup(self, origin, target, messages)
        self.modchan_sent, self.modchan_completed = Cell(0), Cell(0)
        self.synic_online = Cell(frozenset(CPUS))
        self.set_affinity_lock = SpinLock()


class PatchedTwoSetters(AnotherSetter, PatchedBothWays):
    """The same, while another channel is moved."""

    def another_setter(self):
        yield from self.lock()
        yield from super().another_setter()
        yield from self.unlock()


class PatchedPlainCount(PatchedTwoSetters):
    """The same; the counter is a plain variable, as the patch has it."""

    def send_modifychannel(self, relid, cpu):
        yield hv_post_message(self.host_port, (relid, cpu))  # asks the host to interrupt this CPU
        sent = yield load(self.modchan_sent)  # reads how many were sent
        yield store(self.modchan_sent, sent + 1)  # writes back one more
