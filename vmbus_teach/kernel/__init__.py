"""The kernel's vocabulary: shared state, and the operations that a program may yield.

One file per family. ``from vmbus_teach.kernel import *`` gives a notebook all of it.
"""

from types import ModuleType

from .base import Context, ModelError, Now, Operation, Shared
from .completion import (
    Completion,
    complete,
    complete_all,
    completion_done,
    reinit_completion,
    wait_for_completion,
)
from .cpu import (
    Cpu,
    local_bh_disable,
    local_bh_enable,
    local_irq_disable,
    local_irq_enable,
    local_irq_restore,
    local_irq_save,
    preempt_disable,
    preempt_enable,
)
from .heap import Object, Struct, inside, kfree, kzalloc
from .hotplug import (
    CpuHotplugLock,
    cpus_read_lock,
    cpus_read_unlock,
    cpus_write_lock,
    cpus_write_unlock,
    play_dead,
    stop_machine,
)
from .interrupts import (
    Interrupt,
    Tasklet,
    raise_irq,
    smp_call_function_single,
    tasklet_disable,
    tasklet_disable_in_atomic,
    tasklet_enable,
    tasklet_schedule,
)
from .irq import (
    IrqAction,
    IrqDesc,
    IrqDomain,
    IrqStat,
    inc_irq_stat,
    irq_create_mapping,
    irq_resolve_mapping,
    kstat_incr_irqs_this_cpu,
)
from .kref import Kref, kref_get, kref_get_unless_zero, kref_put
from .lists import ListEntry, ListHead, list_add_tail, list_del, list_del_init, list_empty, list_first, list_next
from .locks import (
    Mutex,
    RawSpinLock,
    SpinLock,
    mutex_lock,
    mutex_lock_nested,
    mutex_trylock,
    mutex_unlock,
    raw_spin_lock,
    raw_spin_lock_irqsave,
    raw_spin_lock_nested,
    raw_spin_unlock,
    raw_spin_unlock_irqrestore,
    spin_lock,
    spin_lock_bh,
    spin_lock_irq,
    spin_lock_irqsave,
    spin_lock_nested,
    spin_trylock,
    spin_unlock,
    spin_unlock_bh,
    spin_unlock_irq,
    spin_unlock_irqrestore,
)
from .memory import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    atomic_add,
    atomic_dec,
    atomic_dec_and_test,
    atomic_dec_return,
    atomic_fetch_add,
    atomic_inc,
    atomic_inc_not_zero,
    atomic_inc_return,
    atomic_read,
    atomic_set,
    barrier,
    choose,
    clear_bit,
    cmpxchg,
    load,
    set_bit,
    smp_cond_load_acquire,
    smp_cond_load_relaxed,
    smp_load_acquire,
    smp_mb,
    smp_rmb,
    smp_store_mb,
    smp_store_release,
    smp_wmb,
    store,
    sync_test_and_clear_bit,
    test_and_clear_bit,
    test_and_set_bit,
    test_bit,
    virt_mb,
    virt_store_mb,
    xchg,
)
from .rcu import (
    call_rcu,
    kfree_rcu,
    rcu,
    rcu_assign_pointer,
    rcu_barrier,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    synchronize_rcu,
)
from .srcu import Srcu, cleanup_srcu_struct, srcu_read_lock, srcu_read_unlock, synchronize_srcu
from .synic import (
    HVMSG_CHANNEL,
    HVMSG_NONE,
    HVMSG_TIMER_EXPIRED,
    EventFlagsPage,
    MessagePort,
    MessageSlot,
    hv_post_message,
    hv_signal_eom,
    hv_signal_event,
    synic_post_message,
)
from .time import Traffic, ndelay, next_arrival, usleep_range
from .waitqueue import (
    POLLHUP,
    POLLIN,
    WaitEntry,
    WaitQueueHead,
    add_wait_entry,
    remove_wait_entry,
    wait_entries,
)
from .work import (
    Work,
    WorkQueue,
    cancel_work_sync,
    flush_work,
    flush_workqueue,
    queue_work,
    schedule_work,
    system_wq,
)

#: Shared state that exists in every scenario, declared or not.
EVERYWHERE: tuple[Shared, ...] = (rcu, system_wq)

__all__ = [
    name for name, thing in globals().copy().items() if not name.startswith("_") and not isinstance(thing, ModuleType)
]
