"""Chapter 05: a CPU goes offline, before the RFC and today: the channels' CPUs are set by sysfs alone.

As in ``cpu_offline.py``, without Linux IRQs. (Source: target_cpu_store in Linux 6.1, drivers/hv/vmbus_drv.c; since
Linux 6.15 hv_synic_cleanup moves channels itself, 3a7f7785eae7.)
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    cpus_read_lock,
    cpus_read_unlock,
    smp_cond_load_acquire,
)
from .cpu_offline import DYING, RELID, STAYS, CpuOffline, Race11


class SysfsWaitsForTheAnswer(Race11):
    """Before the RFC, protocol 5.3: target_cpu_store holds cpus_read_lock until the host has answered."""

    def setup(self, messages=1):
        super().setup(messages)
        self.answered = Cell(False)

    def set_affinity(self, target):
        yield cpus_read_lock(self.cpu_hotplug_lock)  # no CPU comes or goes meanwhile
        online = yield READ_ONCE(self.cpu_online_mask)  # which CPUs are there?
        if target in online:
            yield from self.vmbus_channel_set_cpu(target)
        yield cpus_read_unlock(self.cpu_hotplug_lock)  # CPUs may come and go again

    def vmbus_channel_set_cpu(self, cpu):
        origin = yield READ_ONCE(self.target_cpu)  # which CPU is it now?
        if origin == cpu:
            return
        yield WRITE_ONCE(self.answered, False)
        yield from self.send_modifychannel(RELID, cpu)
        yield from self.wait_for_answer()
        yield WRITE_ONCE(self.target_cpu, cpu)  # notes the new target

    def host_answers(self):
        yield WRITE_ONCE(self.answered, True)  # answers

    def wait_for_answer(self):
        yield smp_cond_load_acquire(self.answered, bool)  # waits for the host's answer


class SysfsHasNoAnswer(SysfsWaitsForTheAnswer):
    """The same with an older protocol: the host does not answer."""

    def wait_for_answer(self):
        yield from ()


class RebindsChannels(SysfsWaitsForTheAnswer):
    """Today (since 6.15): hv_synic_cleanup moves the channels itself, waits for each answer, and looks then."""

    def setup(self, origin=DYING, target=STAYS, messages=1):
        CpuOffline.setup(self, origin, target, messages)
        self.answered = Cell(False)

    def find_channel(self):
        found = yield from super().find_channel()
        if found:
            yield from self.vmbus_channel_set_cpu(STAYS)
        return False


class RebindsWithoutWaiting(RebindsChannels):
    """The same without waiting for the answers; so 6.15 refuses where there are none."""

    def wait_for_answer(self):
        yield from ()
