"""Exercises of chapter 05: channel interrupts as Linux IRQs."""

from __future__ import annotations

from ...kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    atomic_inc,
    choose,
    cpus_read_lock,
    hv_post_message,
    raw_spin_lock,
    smp_call_function_single,
    smp_cond_load_acquire,
    usleep_range,
)
from ...scenario import at_end
from ...scenarios.cpu_offline import (
    DYING,
    RELID,
    STAYS,
    AnotherSetter,
    CpuOffline,
    Race11,
)
from ...scenarios.genirq import EBUSY, EINVAL
from ...scenarios.synic_online import NoLock, PatchedBothWays
from ..exercise import FEWEST, WAITING, BreakIt, Exercise, Forbid, JudgeIt, RepairIt

EAGAIN = 11

# --- break it: what is taken back has been done ------------------------------------------------------------


class TakesItBack(NoLock):
    """No lock. With the SynIC off, channels are looked for once more; if one has come, the CPU stays."""

    def hv_synic_cleanup(self):
        error = yield from super().hv_synic_cleanup()
        if error:
            return error
        target_cpu = yield READ_ONCE(self.target_cpu)  # looks once more which CPU the channel interrupts
        if target_cpu == DYING:
            yield WRITE_ONCE(self.pages[DYING].enabled, True)  # switches the SynIC on again
            yield from self.set_online()
            return -EBUSY
        return 0

    def no_message_is_left(self, s):
        return True  # the question is whether it can happen to a CPU that stays

    @at_end
    def who_stays_misses_nothing(self, s):
        stays = DYING in s[self.cpu_online_mask]
        return not (stays and s[self.ring]) or "the CPU has stayed, and a message is left that it will not be told of"


BACK = BreakIt(
    name="05-back",
    title="Taken back",
    scenario=TakesItBack,
    breaks="who_stays_misses_nothing",
    switches=FEWEST,
    hints=(
        "Three note where the channel goes: the host, the guest, and the bit says where it may go. The CPU that goes "
        "looks twice, both times at the guest's note. What may the host have done by then?",
        "The first look must not find the channel, and the second one must. So the target is noted between the two. "
        "When has the setter looked at the bit, then, and when may it have asked the host?",
        "Let set_affinity go as far as its request, and let the host take it. Now cpuhp, until the SynIC is off. The "
        "host sends a message; only now set_affinity notes the new target, and cpuhp looks once more.",
    ),
)


# --- repair it: a request can fail ---------------------------------------------------------------------------


class Requests(AnotherSetter, Race11):
    """Race 11; two requests at a time, each of which may fail. How does hv_synic_cleanup know what is answered?

    ``other=False``: the second setter does nothing. ``late``: the CPU is taken down when all requests are answered.
    """

    def setup(self, messages=1, other=True, late=False):
        super().setup(messages)
        self.other, self.late = other, late
        self.settled = Cell(0)  # our own note, for ``late``: how often a setter, or the host, is done with a request

    # --- those who ask -----------------------------------------------------------------------------

    def retarget(self, cpu):
        error = yield from self.send_modifychannel(RELID, cpu)
        if not error:
            yield WRITE_ONCE(self.target_cpu, cpu)  # notes the new target
        yield from self.settle(2 if error else 1)

    def another_setter(self):
        if self.other:
            error = yield from self.send_modifychannel(RELID + 1, STAYS)
            yield from self.settle(2 if error else 1)

    def send_modifychannel(self, relid, cpu):
        return (yield from self.post(relid, cpu))

    def post(self, relid, cpu):
        taken = yield choose((True, False))  # the hypervisor takes the request, or has no room
        if not taken:
            return -EAGAIN
        yield hv_post_message(self.host_port, (relid, cpu))  # asks the host to interrupt this CPU
        return 0

    # --- who answers ---------------------------------------------------------------------------------

    def host_modifies(self, request):
        relid, cpu = request
        if relid == RELID:
            yield WRITE_ONCE(self.host_target, cpu)  # interrupts the new CPU from now on
        yield from self.vmbus_onmodifychannel_response(relid)
        yield from self.settle(1)

    def vmbus_onmodifychannel_response(self, relid):
        yield from ()  # what the guest does with the answer

    # --- who waits -------------------------------------------------------------------------------------

    def wait_for_what_is_in_flight(self):
        return (yield from self.hv_synic_event_pending())

    def cpu_down(self):
        if self.late:
            yield smp_cond_load_acquire(self.settled, two_for_each_request)  # begins when all is answered
        yield from super().cpu_down()

    def settle(self, times):
        if self.late:
            for _ in range(times):
                yield atomic_inc(self.settled)  # (our own note)

    # --- what must hold ----------------------------------------------------------------------------------

    @at_end
    def guest_and_host_agree(self, s):
        guest, host = s[self.target_cpu], s[self.host_target]
        return guest == host or f"the host interrupts CPU {host}, and the guest has noted CPU {guest}"

    @at_end
    def with_all_answered_the_cpu_goes(self, s):
        goes = DYING not in s[self.cpu_online_mask]
        free = self.late and s[self.target_cpu] != DYING
        return goes or not free or "all requests were answered before it began, and the CPU has stayed"


def two_for_each_request(settled):
    """Both setters are done, and so is the host with what they have asked."""
    return settled == 4


REQUESTS = RepairIt(
    name="05-requests",
    title="Know what is answered, when a request can fail",
    scenario=Requests,
    may_change=("send_modifychannel", "vmbus_onmodifychannel_response", "wait_for_what_is_in_flight"),
    cases=({"messages": 1}, {"messages": 1, "other": False}, {"messages": 0, "late": True}),
    must_end=True,
    forbids=(
        Forbid((*WAITING, raw_spin_lock, cpus_read_lock, usleep_range, smp_call_function_single),
               contexts=("set_affinity", "another_setter", "host_modifies"),
               why="Who asks holds a descriptor's lock with interrupts off, and waits for nobody; the host does not "
                   "wait for the guest either. Only hv_synic_cleanup may wait."),
    ),
    reserved={
        "ring": "Only the interrupt handler reads the ring.",
        "host_target": "The guest cannot look into the host: it can only ask.",
        "host_port": "Ask by self.post, so that a request may fail.",
        "target_cpu": "Which CPU the channel interrupts is noted by the code that is given.",
        "settled": "It only notes for the grader that a request is done with.",
    },
    max_states=60_000,
    hints=(
        "The chapter's two counters rely on one thing: the host answers in order, so that n answers are those to the "
        "first n requests. What becomes of that if one fails? Try it with a request that stays counted, with one that "
        "is counted down again, and with one that counts as answered.",
        "A request must be seen before the host can have it, and until it is answered or has failed. So count it "
        "before you post. And wait for nothing that somebody could still take back.",
        "One number of what is in flight: atomic_inc before the post, atomic_dec if that fails, atomic_dec with the "
        "answer. wait_for_what_is_in_flight waits until it is 0 (smp_cond_load_acquire takes the cell and a function "
        "that says yes), and looks at the event flags then.",
    ),
)  # fmt: skip


# --- judge it: changes to both patches --------------------------------------------------------------------------


class BitClearedBeforeTheLock(PatchedBothWays):
    """hv_synic_cleanup clears the CPU's bit without the lock, and takes it only to look for channels."""

    def find_channel(self):
        yield from self.clear_online()
        yield from self.lock()
        found = yield from CpuOffline.find_channel(self)
        yield from self.unlock()
        return found


class BitReadBeforeTheLock(PatchedBothWays):
    """A setter reads the bits first, and takes the lock then."""

    def vmbus_irq_set_affinity(self, mask):
        synic_online = yield READ_ONCE(self.synic_online)  # whose SynIC stays on?
        if not mask & synic_online:
            return -EINVAL
        yield from self.lock()
        error = yield from CpuOffline.vmbus_irq_set_affinity(self, mask & synic_online)
        yield from self.unlock()
        return error


class TargetNotedFirst(PatchedBothWays):
    """A setter notes the new target first, and asks the host then."""

    def retarget(self, cpu):
        yield WRITE_ONCE(self.target_cpu, cpu)  # notes the new target
        yield from self.send_modifychannel(RELID, cpu)


class CountedAfterTheLock(PatchedBothWays):
    """A setter counts its request, atomically, when it has given the lock back."""

    def vmbus_irq_set_affinity(self, mask):
        before = yield READ_ONCE(self.target_cpu)
        error = yield from super().vmbus_irq_set_affinity(mask)
        if not error and before not in mask:
            yield atomic_inc(self.modchan_sent)  # counts the request
        return error

    def send_modifychannel(self, relid, cpu):
        yield hv_post_message(self.host_port, (relid, cpu))  # asks the host to interrupt this CPU


class WaitsOnlyForFlags(PatchedBothWays):
    """hv_synic_cleanup waits for the host only where an event flag is set: else nothing is in flight."""

    def wait_for_what_is_in_flight(self):
        flags = yield READ_ONCE(self.pages[DYING])  # looks for event flags
        if not flags:
            return False
        return (yield from super().wait_for_what_is_in_flight())


class LooksAfterTheLock(PatchedBothWays):
    """hv_synic_cleanup clears the CPU's bit under the lock, and looks for channels when it has given the lock back."""

    def find_channel(self):
        yield from self.lock()
        yield from self.clear_online()
        yield from self.unlock()
        return (yield from CpuOffline.find_channel(self))


PATCHED = JudgeIt(
    name="05-patched",
    title="Changes to both patches",
    scenario=PatchedBothWays,
    mutations=(
        BitClearedBeforeTheLock,
        BitReadBeforeTheLock,
        TargetNotedFirst,
        CountedAfterTheLock,
        WaitsOnlyForFlags,
        LooksAfterTheLock,
    ),
    cases=({"origin": DYING, "target": STAYS}, {"origin": STAYS, "target": DYING}),
    because={
        "BitClearedBeforeTheLock": "Whoever has seen the bit set holds the lock until the target is noted, and the "
        "look waits for the lock. Whoever takes the lock later finds the bit cleared.",
        "BitReadBeforeTheLock": "Between the reading and the lock the bit is cleared, and the CPU is looked through. "
        "What the setter has read is of before.",
        "TargetNotedFirst": "Request, count and note are made under one lock, which hv_synic_cleanup takes to look "
        "for channels. It sees none of them or all, in whatever order they come.",
        "CountedAfterTheLock": "The target is noted, and the request is not counted yet: hv_synic_cleanup finds no "
        "channel, and waits for an answer too few. That counting is atomic does not make it early.",
        "WaitsOnlyForFlags": "That no flag is set says nothing of a host that has not changed over yet.",
        "LooksAfterTheLock": "Whoever has seen the bit set is through by the time of the look, since they had the lock "
        "before. A request away from here is counted before its target is noted, lock or no lock.",
    },
    hints=(
        "Two things keep a message from getting lost. No channel comes any more when channels have been looked for. "
        "And what was asked before is answered before the flags are looked at. Which of the two does a change touch?",
        "Three of the six do harm: one where the channel comes to the CPU that goes, two where it moves away from it.",
        "BitReadBeforeTheLock: how old may a bit be when the lock is there at last? CountedAfterTheLock: what does "
        "hv_synic_cleanup see between the unlocking and the counting? WaitsOnlyForFlags: no flag is set now; who may "
        "still set one?",
    ),
)

EXERCISES: tuple[Exercise, ...] = (BACK, REQUESTS, PATCHED)
