"""Wrong answers to the exercises of chapter 05."""

from answers import Wrong, flipped

from vmbus_teach.grading.chapters.ch05 import Requests
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    SpinLock,
    atomic_dec,
    atomic_inc,
    hv_post_message,
    smp_cond_load_acquire,
    spin_lock,
    spin_unlock,
    usleep_range,
    xchg,
)
from vmbus_teach.scenarios.cpu_offline import RELID, STAYS, TwoSettersCountedFirst, at_least

_UNTIL_IT_IS_OFF = "cpu_down*2 set_affinity*5 host_modifies*2 cpuhp*5 "

BACK = [
    Wrong(f"host_sends {_UNTIL_IT_IS_OFF} host_sends set_affinity*3 cpuhp*4 cpu_down*3", "fails",
          "fails as it should .* too many switches. There is a schedule with fewer"),
    Wrong("cpu_down*2 set_affinity*5 host_modifies*2 cpuhp*6 host_sends*2 set_affinity*3 cpuhp*4 cpu_down*3", "fails",
          "All has been done .* ring is 1.* cpu_online_mask is {0, 1},"),
    Wrong("cpu_down*2 cpuhp*2 set_affinity*4 cpuhp*8 cpu_down*3 host_sends*2 vmbus_isr_1*3", "fails",
          "All has been done .* ring is 0.* target_cpu is 1"),
    Wrong(f"{_UNTIL_IT_IS_OFF} set_affinity*3 cpuhp*4 cpu_down*3 host_sends*2 vmbus_isr_2*3", "fails",
          "All has been done .* ring is 0.* cpu_online_mask is {0, 1, 2}"),
    Wrong("cpu_down*2 set_affinity*5 host_modifies cpuhp*5 host_sends*2 host_modifies set_affinity*3 cpuhp*4 "
          "cpu_down*3 vmbus_isr_1*3", "fails", "All has been done .* ring is 0.* host_target is 2"),
    Wrong(f"{_UNTIL_IT_IS_OFF} host_sends*2", "fails", "stops before its end .* Possible now: cpuhp, set_affinity"),
    Wrong("cpuhp*5", "fails", "cpuhp cannot step now: it waits for the completion kicked"),
    Wrong("cpu_down*2 cpuhp*2 synic", "fails", "there is no context 'synic'"),
    Wrong("cpu_down*2, cpuhp*5", "refused", "'cpu_down\\*2,' is no step of a schedule"),
]  # fmt: skip


class Right(Requests):
    """A right answer, for the wrong ones to begin with: one number, of the requests that are not answered."""

    def setup(self, messages=1, other=True, late=False):
        super().setup(messages, other, late)
        self.in_flight = Cell(0)

    def send_modifychannel(self, relid, cpu):
        yield atomic_inc(self.in_flight)
        error = yield from self.post(relid, cpu)
        if error:
            yield atomic_dec(self.in_flight)
        return error

    def vmbus_onmodifychannel_response(self, relid):
        yield atomic_dec(self.in_flight)

    def wait_for_what_is_in_flight(self):
        yield smp_cond_load_acquire(self.in_flight, is_zero)
        return (yield from self.hv_synic_event_pending())


class CountedByChannel(Requests):
    """Each channel has counters of its own, and counts what has been posted."""

    def setup(self, messages=1, other=True, late=False):
        super().setup(messages, other, late)
        self.sent = {relid: Cell(0) for relid in (RELID, RELID + 1)}
        self.completed = {relid: Cell(0) for relid in (RELID, RELID + 1)}

    def send_modifychannel(self, relid, cpu):
        error = yield from self.post(relid, cpu)
        if not error:
            yield atomic_inc(self.sent[relid])
        return error

    def vmbus_onmodifychannel_response(self, relid):
        yield atomic_inc(self.completed[relid])

    def wait_for_what_is_in_flight(self):
        for relid in self.sent:
            sent = yield READ_ONCE(self.sent[relid])
            yield smp_cond_load_acquire(self.completed[relid], at_least(sent))
        return (yield from self.hv_synic_event_pending())


class NeverUndone(Requests):
    """The chapter's two counters, counted first; a request that fails stays counted."""

    def setup(self, messages=1, other=True, late=False):
        super().setup(messages, other, late)
        self.modchan_sent, self.modchan_completed = Cell(0), Cell(0)

    def send_modifychannel(self, relid, cpu):
        yield atomic_inc(self.modchan_sent)
        return (yield from self.post(relid, cpu))

    def vmbus_onmodifychannel_response(self, relid):
        yield atomic_inc(self.modchan_completed)

    def wait_for_what_is_in_flight(self):
        sent = yield READ_ONCE(self.modchan_sent)
        yield smp_cond_load_acquire(self.modchan_completed, at_least(sent))
        return (yield from self.hv_synic_event_pending())


class Undone(NeverUndone):
    """The same; a request that fails is counted down again."""

    def send_modifychannel(self, relid, cpu):
        error = yield from super().send_modifychannel(relid, cpu)
        if error:
            yield atomic_dec(self.modchan_sent)
        return error


class FailedIsAnswered(NeverUndone):
    """The same; a request that fails counts as answered."""

    def send_modifychannel(self, relid, cpu):
        error = yield from super().send_modifychannel(relid, cpu)
        if error:
            yield atomic_inc(self.modchan_completed)
        return error


class CountedAfterwards(NeverUndone):
    """The same; counted is what has been posted, once it has been."""

    def send_modifychannel(self, relid, cpu):
        error = yield from self.post(relid, cpu)
        if not error:
            yield atomic_inc(self.modchan_sent)
        return error


class InFlightAfterwards(Right):
    """One number; a request is counted when it has been posted."""

    def send_modifychannel(self, relid, cpu):
        error = yield from self.post(relid, cpu)
        if not error:
            yield atomic_inc(self.in_flight)
        return error


class OneFlag(Requests):
    """A flag for all channels: something is in flight."""

    def setup(self, messages=1, other=True, late=False):
        super().setup(messages, other, late)
        self.in_flight = Cell(False)

    def send_modifychannel(self, relid, cpu):
        yield WRITE_ONCE(self.in_flight, True)
        error = yield from self.post(relid, cpu)
        if error:
            yield WRITE_ONCE(self.in_flight, False)
        return error

    def vmbus_onmodifychannel_response(self, relid):
        yield WRITE_ONCE(self.in_flight, False)

    def wait_for_what_is_in_flight(self):
        yield smp_cond_load_acquire(self.in_flight, is_false)
        return (yield from self.hv_synic_event_pending())


class LooksThenWaits(Right):
    """Looks at the event flags before it waits."""

    def wait_for_what_is_in_flight(self):
        pending = yield from self.hv_synic_event_pending()
        yield smp_cond_load_acquire(self.in_flight, is_zero)
        return pending


class NeverLooks(Right):
    """Waits for the host, and does not look at the event flags."""

    def wait_for_what_is_in_flight(self):
        yield smp_cond_load_acquire(self.in_flight, is_zero)


class PollsAndGoes(Right):
    """Looks five times, and goes on."""

    def wait_for_what_is_in_flight(self):
        for _ in range(5):
            if not (yield READ_ONCE(self.in_flight)):
                break
            yield usleep_range(5_000, 10_000)
        return (yield from self.hv_synic_event_pending())


class PollsForEver(Right):
    """Looks until it is so."""

    def wait_for_what_is_in_flight(self):
        while (yield READ_ONCE(self.in_flight)):
            yield usleep_range(5_000, 10_000)
        return (yield from self.hv_synic_event_pending())


class TwoWillCome(Right):
    """Knows that two requests are made."""

    def setup(self, messages=1, other=True, late=False):
        super().setup(messages, other, late)
        self.done = Cell(0)

    def send_modifychannel(self, relid, cpu):
        error = yield from self.post(relid, cpu)
        if error:
            yield atomic_inc(self.done)
        return error

    def vmbus_onmodifychannel_response(self, relid):
        yield atomic_inc(self.done)

    def wait_for_what_is_in_flight(self):
        yield smp_cond_load_acquire(self.done, at_least(2))
        return (yield from self.hv_synic_event_pending())


class AlwaysRefuses(Requests):
    """The CPU never goes."""

    def wait_for_what_is_in_flight(self):
        yield from ()
        return True


class RefusesOnceAsked(Requests):
    """The CPU stays, if anybody has ever moved a channel."""

    def setup(self, messages=1, other=True, late=False):
        super().setup(messages, other, late)
        self.asked = Cell(False)

    def send_modifychannel(self, relid, cpu):
        yield WRITE_ONCE(self.asked, True)
        return (yield from self.post(relid, cpu))

    def wait_for_what_is_in_flight(self):
        asked = yield READ_ONCE(self.asked)
        return asked or (yield from self.hv_synic_event_pending())


class AsksByItself(Requests):
    """hv_synic_cleanup asks for something, too: the host answers in order, so all before it is answered, then."""

    def setup(self, messages=1, other=True, late=False):
        super().setup(messages, other, late)
        self.answered = Cell(False)

    def vmbus_onmodifychannel_response(self, relid):
        if relid == RELID + 2:
            yield WRITE_ONCE(self.answered, True)

    def wait_for_what_is_in_flight(self):
        error = yield from self.post(RELID + 2, STAYS)
        if error:
            return True
        yield smp_cond_load_acquire(self.answered, bool)
        return (yield from self.hv_synic_event_pending())


class SwallowsTheError(Right):
    """Does not say that a request has failed."""

    def send_modifychannel(self, relid, cpu):
        yield from super().send_modifychannel(relid, cpu)


class TriesForEver(Right):
    """Tries until the hypervisor takes the request."""

    def send_modifychannel(self, relid, cpu):
        error = -1
        while error:
            error = yield from super().send_modifychannel(relid, cpu)
        return error


class OneLock(Requests):
    """One lock for all who ask."""

    def setup(self, messages=1, other=True, late=False):
        super().setup(messages, other, late)
        self.lock = SpinLock()

    def send_modifychannel(self, relid, cpu):
        yield spin_lock(self.lock)
        error = yield from self.post(relid, cpu)
        yield spin_unlock(self.lock)
        return error


class WaitsForTheAnswer(Right):
    """Whoever asks waits for the answer."""

    def send_modifychannel(self, relid, cpu):
        error = yield from super().send_modifychannel(relid, cpu)
        yield smp_cond_load_acquire(self.in_flight, is_zero)
        return error


class NeverFails(Right):
    """Posts by itself, so that nothing fails."""

    def send_modifychannel(self, relid, cpu):
        yield atomic_inc(self.in_flight)
        yield hv_post_message(self.host_port, (relid, cpu))
        return 0


class LooksIntoTheHost(Requests):
    """Waits until the host's own variable says that it has changed over."""

    def wait_for_what_is_in_flight(self):
        yield smp_cond_load_acquire(self.host_target, is_not_two)
        return (yield from self.hv_synic_event_pending())


class ReadsTheRing(Requests):
    """Empties the ring with every answer."""

    def vmbus_onmodifychannel_response(self, relid):
        yield xchg(self.ring, 0)


class SynicStaysOn(Requests):
    """Does not switch the SynIC off."""

    def hv_synic_disable_regs(self):
        yield from ()


class AsksNobody(Right):
    """Says that no message is left."""

    def no_message_is_left(self, s):
        return True


def is_zero(number):
    """It is zero."""
    return number == 0


def is_false(flag):
    """It is not set."""
    return not flag


def is_not_two(cpu):
    """It is another CPU."""
    return cpu != 2


REQUESTS = [
    Wrong(NeverUndone, "fails", "deadlock: nobody can go on: cpuhp waits"),
    Wrong(Undone, "fails", "deadlock: nobody can go on: cpuhp waits"),
    Wrong(FailedIsAnswered, "fails", "FailedIsAnswered\\(messages=1\\) fails.*no_message_is_left does not hold"),
    Wrong(CountedAfterwards, "fails", "CountedAfterwards\\(messages=1\\) fails.*no_message_is_left does not hold"),
    Wrong(InFlightAfterwards, "fails", "no_message_is_left does not hold"),
    Wrong(OneFlag, "fails", "no_message_is_left does not hold"),
    Wrong(LooksThenWaits, "fails", "no_message_is_left does not hold"),
    Wrong(NeverLooks, "fails", "no_message_is_left does not hold"),
    Wrong(PollsAndGoes, "fails", "no_message_is_left does not hold"),
    Wrong(PollsForEver, "fails", "endless: this can go on for ever"),
    Wrong(TriesForEver, "fails", "endless: this can go on for ever"),
    Wrong(TwoWillCome, "fails", "TwoWillCome\\(messages=1, other=False\\) fails.*deadlock: .*cpuhp waits"),
    Wrong(AlwaysRefuses, "fails", "late=True\\) fails.*with_all_answered_the_cpu_goes does not hold"),
    Wrong(RefusesOnceAsked, "fails", "late=True\\) fails.*with_all_answered_the_cpu_goes does not hold"),
    Wrong(AsksByItself, "fails", "late=True\\) fails.*with_all_answered_the_cpu_goes does not hold"),
    Wrong(SwallowsTheError, "fails", "guest_and_host_agree does not hold .* the guest has noted CPU 1"),
    Wrong(OneLock, "refused", "another_setter does spin_lock.* waits for nobody"),
    Wrong(WaitsForTheAnswer, "refused", "another_setter does smp_cond_load_acquire.* waits for nobody"),
    Wrong(NeverFails, "refused", "host_port is not for your code to touch. Ask by self.post"),
    Wrong(LooksIntoTheHost, "refused", "host_target is not for your code to touch. The guest cannot look into"),
    Wrong(ReadsTheRing, "refused", "ring is not for your code to touch. Only the interrupt handler"),
    Wrong(SynicStaysOn, "refused", "SynicStaysOn has hv_synic_disable_regs, which cannot count here"),
    Wrong(AsksNobody, "refused", "a property says what must hold, and stays as it is given"),
    Wrong(TwoSettersCountedFirst, "refused", "TwoSettersCountedFirst is no subclass of Requests"),
]

_PATCHED = {
    "BitClearedBeforeTheLock": "harmless", "BitReadBeforeTheLock": "harmful", "TargetNotedFirst": "harmless",
    "CountedAfterTheLock": "harmful", "WaitsOnlyForFlags": "harmful", "LooksAfterTheLock": "harmless",
}  # fmt: skip

PATCHED = [
    Wrong(flipped(_PATCHED, "BitClearedBeforeTheLock"), "fails", "origin=2, target=1\\) holds under all .*"
                                                                 "origin=1, target=2\\) holds under all"),
    Wrong(flipped(_PATCHED, "BitReadBeforeTheLock"), "fails", "is harmless. This schedule.*origin=1, target=2"),
    Wrong(flipped(_PATCHED, "CountedAfterTheLock"), "fails", "is harmless. This schedule.*origin=2, target=1"),
    Wrong(flipped(_PATCHED, "LooksAfterTheLock"), "fails", "LooksAfterTheLock is harmful. But .* holds"),
    Wrong(dict.fromkeys(_PATCHED, "harmful"), "fails", "3 of 6 judgements are right"),
    Wrong({**_PATCHED, "TargetNotedFirst": "depends"}, "refused", "TargetNotedFirst is judged 'depends'"),
    Wrong(["harmless"] * 6, "refused", "is a dict such as"),
]

RIGHT = {"05-requests": CountedByChannel}
WRONG = {"05-back": BACK, "05-requests": REQUESTS, "05-patched": PATCHED}
