"""/proc/interrupts of a run and its picture: every number is counted in the run, and the layout is the kernel's."""

import pytest

from vmbus_teach import Scenario, ScenarioError, simulate, thread
from vmbus_teach.kernel import READ_ONCE, Cell, IrqDomain, IrqStat, inc_irq_stat
from vmbus_teach.scenarios.guest import MAILS_VM, Channel, Guest, GuestWithIrqs
from vmbus_teach.timed import at_times
from vmbus_teach.views import interrupts, proc_interrupts

SECOND = 1_000_000_000

#: Two channels: three messages for one, two for the other, each alone; and a control message.
TWO = (Channel(7, "heartbeat", 0), Channel(19, "netvsc", 2))
ARRIVALS = {
    "traffic[7]": at_times((100_000, 200_000, 300_000)), "traffic[19]": at_times((150_000, 250_000)),
    "control_traffic": at_times((400_000,)),
}


def run_of(kind, channels=TWO, traffic=None, **options):
    """A run of a guest that gets these messages."""
    guest = kind(channels=channels, messages=None, control=None)
    return simulate(guest, until=1_000_000, traffic=ARRIVALS if traffic is None else traffic, **options)


def test_with_irqs_each_channel_has_a_line():
    """Its messages are counted there, on its CPU; HYP has the control message alone, laid out as in Linux 6.1."""
    assert str(proc_interrupts(run_of(GuestWithIrqs), cpus=(0, 1, 2))) == (
        "           CPU0       CPU1       CPU2\n"
        " 24:          3          0          0     VMBus   7  heartbeat\n"
        " 25:          0          0          2     VMBus  19  netvsc\n"
        "HYP:          1          0          0   Hypervisor callback interrupts"
    )


def test_without_irqs_all_is_in_one_line():
    """HYP counts every interrupt, on the CPU that took it."""
    assert str(proc_interrupts(run_of(Guest), cpus=(0, 2))) == (
        "           CPU0       CPU2\n"
        "HYP:          4          2   Hypervisor callback interrupts"
    )


def test_messages_that_come_together_are_one_interrupt():
    """The file counts interrupts and not messages: the host signals only when the ring was empty."""
    burst = {"traffic[7]": at_times((100_000,) * 3), "traffic[19]": at_times(()), "control_traffic": at_times(())}
    run = run_of(GuestWithIrqs, traffic=burst)
    assert run.gauges["waiting[7]"].came == 3
    assert proc_interrupts(run)["24"].total == 1


def test_the_sums_agree():
    """Under one traffic, HYP of before is the sum of all lines of after, if no interrupt found two things at once."""
    guests = [kind(channels=MAILS_VM, messages=None, control=None) for kind in (Guest, GuestWithIrqs)]
    before, after = (simulate(guest, until=100 * SECOND, traffic=guest.arrivals(), seed=3) for guest in guests)
    assert proc_interrupts(before)["HYP"].total == sum(line.total for line in proc_interrupts(after).lines)
    assert proc_interrupts(before)["HYP"].total == sum(use.handled for use in before.interrupts.values())


def test_the_mails_lines():
    """IRQs 24 to 44, their relids and names, in the order of the mail."""
    names = [*(f"traffic[{channel.relid}]" for channel in MAILS_VM if channel.per_second), "control_traffic"]
    file = proc_interrupts(run_of(GuestWithIrqs, MAILS_VM, dict.fromkeys(names, at_times(()))))
    assert [line.label for line in file.lines] == [*map(str, range(24, 45)), "HYP"]
    assert (file["28"].text, file["28"].hwirq, file["44"].text) == ("pri@storvsc1", 14, "sub@storvsc0")


def test_statistics_are_counted_by_cpu():
    """The run says it by the name of the statistic; what was never counted is not in it."""
    assert run_of(GuestWithIrqs).statistics == {
        "hyp": {"CPU 0": 1}, "irq24.kstat_irqs": {"CPU 0": 3}, "irq25.kstat_irqs": {"CPU 2": 2},
    }


def test_an_irq_that_nobody_asked_for_has_no_line():
    """As in the kernel: no action, and never counted."""

    class Idle(Scenario):
        """Two IRQs without action, and a line that is counted."""

        cpus = 1

        def setup(self):
            self.domain = IrqDomain("VMBus", (7, 8), self.task)
            self.domain.mapped(7)
            self.line = IrqStat("XYZ", "an interrupt of ours")

        @thread(cpu=0)
        def task(self):
            yield inc_irq_stat(self.line)

    run = simulate(Idle)
    assert str(proc_interrupts(run)) == "           CPU0\nXYZ:          1   an interrupt of ours"


class Nothing(Scenario):
    """Counts nothing."""

    cpus = 1

    def setup(self):
        self.x = Cell(0)

    @thread(cpu=0)
    def task(self):
        yield READ_ONCE(self.x)


@pytest.mark.parametrize("ask, said", [
    (lambda: proc_interrupts(Nothing()), "takes a run of simulate"),
    (lambda: proc_interrupts(simulate(Nothing)), "Nothing counts no interrupts"),
    (lambda: proc_interrupts(run_of(Guest), cpus=(0, 9)), "there is no CPU 9; there are 0 to 7"),
    (lambda: proc_interrupts(run_of(Guest))["25"], "there is no line '25'; there are HYP"),
    (lambda: interrupts(run_of(Guest, traffic=dict.fromkeys(ARRIVALS, at_times(())))), "no interrupt was counted"),
])  # fmt: skip
def test_what_cannot_be_shown(ask, said):
    """The error says what is lacking."""
    with pytest.raises(ScenarioError, match=said):
        ask()


# --- the picture -------------------------------------------------------------------------------------------


def test_a_dot_for_each_count():
    """Its place is its line and its CPU, its area the count; the numbers are in ``rows`` and in the sentence."""
    picture = interrupts(run_of(GuestWithIrqs))
    dots, _ = picture.figure.axes
    drawn = [(*dot.get_offsets().tolist()[0], dot.get_sizes()[0]) for dot in dots.collections if dot.get_gid() == "dot"]
    assert [(x, y) for x, y, _ in drawn] == [(0, 0), (2, 1), (0, 2)]
    assert [round(3 * size / drawn[0][2], 6) for *_, size in drawn] == [3, 2, 1]
    assert picture.rows == (("heartbeat (7)", 0, 3), ("netvsc (19)", 2, 2), ("HYP", 0, 1))
    assert "heartbeat (7): 3 on CPU 0; netvsc (19): 2 on CPU 2; HYP: 1 on CPU 0. Busy: CPU 0" in picture.alt


def test_the_load_is_that_of_the_run():
    """The bars of a CPU add up to the part of the time in which it was busy."""
    run = run_of(GuestWithIrqs)
    _, load = interrupts(run).figure.axes
    for cpu in (0, 2):
        bars = [bar.get_height() for bar in load.patches if round(bar.get_x() + 0.3) == cpu]
        assert sum(bars) == pytest.approx(100 * run.cpus[f"CPU {cpu}"].busy)


def test_the_same_run_gives_the_same_bytes():
    """Two pictures of one run are the same file."""
    assert len({interrupts(run_of(GuestWithIrqs)).png() for _ in range(2)}) == 1


def test_lines_that_were_never_counted_are_left_out():
    """And a long title is shortened."""
    silent = {**ARRIVALS, "traffic[19]": at_times(())}
    picture = interrupts(run_of(GuestWithIrqs, traffic=silent), title="t" * 300)
    assert {row.line for row in picture.rows} == {"heartbeat (7)", "HYP"} and picture.png()


def test_too_many_lines():
    """More than can be told apart are refused, and the message says what shows them."""
    channels = [Channel(relid, "netvsc", 0) for relid in range(1, 45)]
    traffic = {f"traffic[{c.relid}]": at_times((1_000 * c.relid,)) for c in channels}
    traffic["control_traffic"] = at_times(())
    with pytest.raises(ScenarioError, match=r"print\(proc_interrupts\(run\)\) shows all"):
        interrupts(run_of(GuestWithIrqs, channels, traffic))
