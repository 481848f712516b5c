"""Chapter 05: channel interrupts as Linux IRQs: what its scenarios promise, and what breaks them."""

import pytest
from by_hand import failures, the_failure

from vmbus_teach import explore, simulate
from vmbus_teach.scenario import Scenario, ScenarioError
from vmbus_teach.scenarios import (
    affinity,
    catalogue,
    channel_irq,
    cpu_offline,
    genirq,
    guest,
    irq_counting,
    rebinding,
    synic_online,
)
from vmbus_teach.scenarios.cpu_offline import DYING, STAYS
from vmbus_teach.scenarios.guest import MAILS_VM, Channel, Channels, Guest, GuestWithIrqs
from vmbus_teach.timed import Costs, periodic, simulate_many

CHAPTER = [entry for entry in catalogue() if entry.chapter == "05"]
#: What others derive from, and no race by itself.
BASES = {genirq.GenericIrq, cpu_offline.CpuOffline, cpu_offline.AnotherSetter}


def test_every_scenario_is_in_the_catalogue():
    """No class of the chapter's files is without an expected verdict."""
    modules = (affinity, channel_irq, cpu_offline, genirq, guest, irq_counting, rebinding, synic_online)
    defined = {
        thing for module in modules for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Scenario) and thing.__module__ == module.__name__
    }  # fmt: skip
    assert defined - BASES == {entry.scenario for entry in CHAPTER}


@pytest.mark.parametrize("entry", CHAPTER, ids=lambda entry: entry.scenario.__name__)
def test_small_enough(entry):
    """At most 12,000 states, so that a search takes well under a second."""
    assert explore(entry.make(), max_states=12_001).complete


# --- the life of a mapping --------------------------------------------------------------------------------


@pytest.mark.parametrize("cpu", [0, 1])
def test_the_removal_is_right_on_either_cpu(cpu):
    """On the CPU of the handler, and on another one."""
    assert explore(channel_irq.ChannelIrq(removal_cpu=cpu)).ok


def test_each_protection_protects_something_else():
    """RCU guards what the demultiplexer touches (descriptor, channel), free_irq what the action touches."""
    assert "uses vmbus_channel#0.rescind" in the_failure(channel_irq.ChannelFreedAtOnce, "use-after-free")
    assert all("uses irq24." in told for _, told in failures(channel_irq.DescriptorFreedAtOnce()))
    assert "uses vmbus_channel#0.interrupts" in the_failure(channel_irq.ChannelFreedAtOnceNoWait, "use-after-free")
    assert explore(channel_irq.ChannelFreedAtOnceUntouched).ok and explore(channel_irq.NoWait).ok


def test_an_irq_that_comes_too_early_is_handled_once_more():
    """Without that, the message that was there before request_irq stays in the ring."""
    assert explore(channel_irq.RequestedLate).ok
    assert "1 in the ring" in the_failure(channel_irq.RequestedLateNoResend, "at_end")


# --- what is counted -----------------------------------------------------------------------------------------


def test_one_interrupt_can_be_counted_twice_and_one_message_too():
    """(handler runs, HYP, channel): one run for both; two runs; two runs that found the one message both times."""
    assert explore(irq_counting.CountedWhereHandled).outcomes == {(1, 1, 1), (2, 1, 1), (2, 2, 1)}


def test_hyp_is_silent_without_control_messages():
    """Only where the handler counts at the top does HYP grow with the channel."""
    assert explore(irq_counting.CountedWhereHandled(events=2, control=0)).outcomes == {(1, 0, 1), (2, 0, 2)}
    found = explore(irq_counting.CountedAtBoth(events=1, control=0))
    assert found.failures and "1 were handled, and the lines say 1 and 1" in found.failures[0].message


def test_an_irq_for_management_counts_the_same():
    """The reviewer's proposal has the same lines, and needs no flow handler that counts on condition."""
    conditional, own = (explore(c) for c in (irq_counting.CountedWhereHandled, irq_counting.CountedByAnIrqOfItsOwn))
    assert conditional.ok and own.ok and conditional.outcomes == own.outcomes


# --- two doors -------------------------------------------------------------------------------------------------


def test_the_old_door_needs_no_race_to_disagree():
    """One door alone, and /proc/irq already says something else."""

    class SysfsAlone(affinity.SysfsAsBefore):
        """Nobody writes to /proc/irq."""

        def write_proc_irq(self):
            yield from ()

    assert "sysfs says 2, /proc/irq says 0" in the_failure(SysfsAlone, "at_end")


def test_a_request_after_the_close():
    """By /proc/irq a request can reach the host when the channel is closed; by sysfs it cannot."""
    assert "the host has ignored a request" in the_failure(affinity.Closing, "at_end")
    assert explore(affinity.ClosingBySysfsAlone).ok


# --- a CPU goes offline -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("origin", "target"), [(DYING, STAYS), (STAYS, DYING), (DYING, 0), (0, DYING)])
def test_both_patches_hold_in_both_directions(origin, target):
    """Whether the channel moves away from the CPU that goes or towards it; some schedules end with the CPU offline."""
    found = explore(synic_online.PatchedBothWays(origin=origin, target=target))
    assert found.ok and found.outcomes == {"offline", "refused"}


@pytest.mark.parametrize("messages", [1, 2])
def test_a_channel_that_was_lost_stays_silent(messages):
    """After the lost signal the host sends none for what comes later."""
    told = {failure.message for failure in explore(cpu_offline.Race11(messages=messages)).failures}
    assert any(f"{messages} in the ring" in message for message in told)


@pytest.mark.parametrize("fixed", [
    cpu_offline.WaitsForModifychannel, cpu_offline.PollsThenRefuses, synic_online.SynicOnline,
    cpu_offline.MigrationThenLook, rebinding.RebindsChannels, synic_online.GracePeriodInsteadOfLock,
])  # fmt: skip
def test_what_holds_holds_for_two_messages(fixed):
    """The verdict is no matter of the bound on messages."""
    assert explore(fixed(messages=2)).ok


def test_race_12_is_no_race_of_stop_machine():
    """The setter is done, or has not begun, when all CPUs stand still: its lock is held across no CPU's death."""
    told = str(explore(synic_online.Race12).failures[0])
    steps = ["switches the SynIC off", "asks the host to interrupt this CPU", "all other CPUs stand still"]
    assert [*map(told.rindex, steps)] == sorted(map(told.rindex, steps))


def test_a_bounded_wait_is_a_bound_on_the_host():
    """Five looks are enough for a host that answers between two of them, and for no slower one."""
    always = {"packets": periodic(1_000_000)}
    for host, fails in ((300_000, 0), (100_000_000, 10)):
        guest_ = cpu_offline.PollsInTime(messages=100)
        runs = simulate_many(guest_, seeds=10, costs=Costs({"host_modifies": host}), traffic=always)
        assert len([run for run in runs if run.fault]) == fails


def test_two_setters_need_the_lock_or_the_order():
    """Atomic counters do not help where a request is counted after it was posted; counted before, they do."""
    assert explore(cpu_offline.TwoSetters).failures
    assert explore(cpu_offline.TwoSettersCountedFirst).ok and explore(cpu_offline.TwoSettersOneLock).ok


# --- the guest in time ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Guest, GuestWithIrqs])
def test_nothing_is_left(kind):
    """Every message is read: on one CPU, on two, with more messages than a ring holds."""
    for channels in (((1, "a", 0), (2, "b", 0)), ((1, "a", 0), (2, "b", 1))):
        assert explore(kind(channels=channels)).ok
    assert explore(kind(channels=((1, "a", 1),), messages=3, room=2)).ok


@pytest.mark.parametrize("channels, said", [
    (((0, "a", 0),), "0 is no channel's"), (((1, "a", 0), (1, "b", 0)), "relid of its own"),
    (((1, "a", 8),), "channel 1 is to interrupt CPU 8; there are 8"),
])  # fmt: skip
def test_channels_that_cannot_be(channels, said):
    """The error says what is wrong with them."""
    with pytest.raises(ScenarioError, match=said):
        Guest(channels=channels)


def test_many_channels_are_told_by_their_number():
    """The name of a guest stays short."""
    assert str(Guest(channels=MAILS_VM, messages=None)) == "Guest(channels=21 channels, messages=None)"


def busy_guest(cpus):
    """Four network channels and a disk under load, on the CPUs given."""
    channels = [Channel(16 + i, "netvsc", cpu, 60_000) for i, cpu in enumerate(cpus)]
    disk = Channel(14, "storvsc", 0, 2_000)
    return GuestWithIrqs(channels=Channels([disk, *channels]), messages=None, control=None, work=3_000, room=64)


def test_a_bad_balance_costs_latency_and_one_cpu():
    """With all channels on CPU 0 that CPU does all the work, and the disk waits for the network."""
    runs = {}
    for name, cpus in (("one", (0, 0, 0, 0)), ("spread", (0, 1, 2, 3))):
        made = busy_guest(cpus)
        runs[name] = simulate(made, until=5_000_000, traffic=made.arrivals(control=1_000), seed=1)
    one, spread = (runs[name].gauges["waiting[14]"].latency for name in ("one", "spread"))
    assert one.mean > 1.5 * spread.mean
    assert runs["one"].cpus["CPU 0"].busy > 0.7 and runs["one"].cpus["CPU 1"].busy == 0
    assert all(runs["spread"].cpus[f"CPU {cpu}"].busy < 0.3 for cpu in range(4))
