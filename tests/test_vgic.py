"""Chapter 07, the vGIC xarray: what the course says of the scenarios beyond their verdicts."""

import pytest
from by_hand import shown

from vmbus_teach import Scenario, Session, explore, simulate
from vmbus_teach.kernel import READ_ONCE
from vmbus_teach.scenarios import catalogue, vgic_flush, vgic_in_time, vgic_lookup, vgic_put, vgic_register, vgic_reuse
from vmbus_teach.scenarios.vgic_put import IRQSAVE, VARIANTS, FlagAfterwards, LastPuts
from vmbus_teach.timed import Costs


def verdict(scenario):
    """ "holds", or the kinds of failure."""
    result = explore(scenario)
    assert result.complete
    return ", ".join(sorted({failure.kind for failure in result.failures})) or "holds"


CHAPTER = [entry for entry in catalogue() if entry.chapter == "07"]


def test_every_scenario_is_in_the_catalogue():
    """No class of the chapter's files is without an expected verdict; ``Lpis`` is what others derive from."""
    modules = (vgic_flush, vgic_in_time, vgic_lookup, vgic_put, vgic_register, vgic_reuse)
    defined = {
        thing for module in modules for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Scenario) and thing.__module__ == module.__name__
    }  # fmt: skip
    assert defined - {vgic_put.Lpis} == {entry.scenario for entry in CHAPTER}


#: The columns: who puts beside the task on CPU 0, and where.
WHERE = [("task", 0), ("task", 1), ("tasklet", 0), ("tasklet", 1), ("interrupt", 0), ("interrupt", 1)]

#: For each form, bare: what becomes of it in each column. With lpi_list_lock around it: the second line.
TABLE = {
    "xa_erase": (
        "holds holds deadlock holds deadlock holds",
        "holds holds holds holds holds holds",
    ),
    "xa_erase_bh": (
        "holds holds holds holds error error",
        "error error error error error error",
    ),
    "xa_erase_irq": (
        "holds holds holds holds error error",
        "holds holds deadlock holds deadlock holds",
    ),
    IRQSAVE: (
        "holds holds holds holds holds holds",
        "holds holds holds holds holds holds",
    ),
}


@pytest.mark.parametrize("enclosed", [False, True])
@pytest.mark.parametrize("erase", VARIANTS)
def test_where_each_form_survives(erase, enclosed):
    """The table of the forms, the contexts and the CPUs, filled by the machine."""
    found = [
        verdict(LastPuts(erase=erase, enclosed=enclosed, second=second, second_cpu=cpu)) for second, cpu in WHERE
    ]
    assert found == TABLE[erase][enclosed].split()


@pytest.mark.parametrize(
    ("erase", "irqs_on", "outcome"),
    [
        ("xa_erase", True, (True, True)),
        ("xa_erase", False, (False, False)),
        ("xa_erase_bh", True, (True, True)),
        ("xa_erase_irq", True, (True, True)),
        ("xa_erase_irq", False, (False, True)),
        (IRQSAVE, True, (True, True)),
        (IRQSAVE, False, (False, False)),
    ],
)
def test_what_a_form_does_to_the_flag(erase, irqs_on, outcome):
    """All leave it as it was but ``_irq``."""
    result = explore(FlagAfterwards(erase=erase, irqs_on=irqs_on))
    assert result.ok
    assert result.outcomes == {outcome}


def test_bh_has_no_business_where_interrupts_are_off():
    """Under a lock that has interrupts off, its unlock is a fault (source: __local_bh_enable_ip, v6.1)."""
    assert verdict(FlagAfterwards(erase="xa_erase_bh", irqs_on=False)) == "error"


def told(scenario):
    """The shortest failure: who steps, and whether CPU 0 has interrupts on afterwards."""
    (failure,) = explore(scenario).failures
    session = Session(scenario)
    found = []
    for word in failure.schedule.steps:
        session.step(word)
        found.append((word, "interrupts on" in shown(session, "CPU 0")))
    return found


def test_the_flag_in_i1():
    """The task holds xa_lock with interrupts on, and is interrupted by one who wants it."""
    on, off = True, False
    task = [("discard", on), ("discard", on)]  # puts; takes xa_lock
    assert told(vgic_put.PlainErase) == [*task, ("device", on), *[("interrupt", off)] * 3]


def test_the_flag_in_i2():
    """Interrupts are off under lpi_list_lock; the unlock of xa_lock has them on; then the handler comes."""
    on, off = True, False
    task = [*[("discard", off)] * 4, ("discard", on)]  # takes lpi_list_lock, puts, takes xa_lock, erases; xa_unlock_irq
    assert told(vgic_put.EnclosedEraseIrq) == [*task, ("device", on), *[("interrupt", off)] * 2]


# --- two CPUs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("erase", "interrupted", "expected"),
    [
        ("xa_erase", 0, "deadlock"),
        ("xa_erase", 1, "holds"),
        ("xa_erase_irq", 0, "holds"),
        ("xa_erase_irq", 1, "deadlock"),
        (IRQSAVE, 0, "holds"),
        (IRQSAVE, 1, "holds"),
    ],
)
def test_irq_moves_the_deadlock(erase, interrupted, expected):
    """With xa_erase it is CPU 0 that must not be interrupted, with xa_erase_irq it is CPU 1; irqsave minds neither."""
    assert verdict(vgic_flush.FlushAgainstPut(erase=erase, interrupted=interrupted)) == expected


def test_irq_on_one_cpu():
    """xa_erase_irq needs no second CPU; i4 does."""
    assert verdict(vgic_flush.FlushAgainstPut(erase="xa_erase_irq", one_cpu=True)) == "deadlock"
    assert verdict(vgic_flush.FlushAgainstPut(erase="xa_erase", one_cpu=True)) == "holds"


@pytest.mark.parametrize("interrupted", [0, 1])
def test_deferred_release_needs_no_irqsave_against_a_flush(interrupted):
    """6.17: with nobody inside ap_list_lock, plain xa_lock would do, were there no puts in handlers."""
    assert verdict(vgic_flush.DeferredInterruptsOn(interrupted=interrupted)) == "holds"
    assert verdict(vgic_flush.PutInTheHandlerAgain(erase=IRQSAVE, interrupted=interrupted)) == "holds"


def test_the_whole_story_before_patch_10():
    """A handler's reference becomes the last; under lpi_list_lock plain xa_erase is safe all the same."""
    assert verdict(vgic_put.GotInTheHandler(erase="xa_erase", enclosed=True)) == "holds"
    assert verdict(vgic_put.GotInTheHandler(erase="xa_erase_irq", enclosed=True)) == "deadlock"


def test_one_cpu_alone_has_no_last_put_in_a_handler():
    """On one CPU the handler gets and puts at one go: the reference is never the last, and i1 cannot come."""
    assert verdict(vgic_put.GotInTheHandler(erase="xa_erase", discard_cpu=0)) == "holds"


# --- look-up ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("discard_cpu", [0, 1])
@pytest.mark.parametrize("in_a_task", [False, True])
@pytest.mark.parametrize("scenario", [vgic_lookup.LpiList, vgic_lookup.LpiXarray, vgic_lookup.LpiRcu])
def test_each_stage_holds(scenario, in_a_task, discard_cpu):
    """List, xarray, RCU: whoever looks up, and wherever the LPI is discarded."""
    assert verdict(scenario(in_a_task=in_a_task, discard_cpu=discard_cpu)) == "holds"


def test_a_handler_is_a_reader():
    """What needs rcu_read_lock or a reference in a task needs neither in a handler, for as long as that runs."""
    assert verdict(vgic_lookup.LookUpNoReadLock(in_a_task=True)) == "use-after-free"
    assert verdict(vgic_lookup.NoReference(in_a_task=True)) == "use-after-free"
    assert verdict(vgic_lookup.NoReferenceUsedInside(in_a_task=True)) == "holds"


def test_a_reader_in_a_handler_does_not_help_without_rcu_freeing():
    """With kfree, nobody waits for readers."""
    assert verdict(vgic_lookup.LpiFreedAtOnce(in_a_task=True)) == "use-after-free"


# --- registration ---------------------------------------------------------------------------------------------


def test_a_reservation_is_enough_for_one():
    """Alone, a store under the lock never fails after a reservation; without one it may."""
    assert explore(vgic_register.RegisterLpi(alone=True)).outcomes == {"mapped", "not reserved"}
    assert explore(vgic_register.NothingReserved(alone=True)).outcomes == {"mapped", "not stored"}


def test_a_reservation_is_not_enough_for_two():
    """An entry of somebody else stands where the reservation should; it goes, and the store needs memory after all."""
    assert explore(vgic_register.RegisterLpi()).outcomes == {"mapped", "not reserved", "not stored"}
    assert verdict(vgic_register.ReturnsWithTheLock(alone=True)) == "holds"  # so one task alone never shows it


# --- 2026 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_cpu", [False, True])
@pytest.mark.parametrize("puts", [("direct",), ("deferred",), ("direct", "direct"), ("direct", "deferred")])
def test_zero_under_the_lock(puts, one_cpu):
    """The repair holds for every kind of put, and the form of before for none."""
    assert verdict(vgic_reuse.ZeroUnderTheLock(puts=puts, one_cpu=one_cpu)) == "holds"
    assert verdict(vgic_reuse.PutsUnderTheLock(puts=puts, one_cpu=one_cpu)) == "holds"
    assert verdict(vgic_reuse.LastPutAgainstNew(puts=puts, one_cpu=one_cpu)) != "holds"


def test_each_half_of_the_repair():
    """Eviction alone is enough for deferred puts, zero under the lock alone for direct ones."""
    assert verdict(vgic_reuse.ZeroUnderTheLockNotEvicted(puts=("direct",))) == "holds"
    assert verdict(vgic_reuse.EvictedZeroOutside(puts=("deferred",))) == "holds"


def test_a_put_alone_is_no_race():
    """Without a new registration nothing was wrong."""
    for puts in (("direct",), ("deferred",), ("direct", "deferred")):
        assert verdict(vgic_reuse.LastPutAgainstNew(puts=puts, mapped_again=False)) == "holds"


def test_a_dead_lpi_is_evicted_by_the_next():
    """What LooksThenPuts leaves behind is gone once the number is mapped again."""
    assert verdict(vgic_reuse.LooksThenPuts(mapped_again=True)) == "holds"


# --- in time ---------------------------------------------------------------------------------------------------


def rates(scenario, *counts):
    """Millions of injections a second, for these numbers of vCPUs; a lock changes hands at once."""
    costs = Costs(handover=0)
    runs = [simulate(scenario(vcpus=count), until=20_000, costs=costs) for count in counts]
    return [run.rate(vgic_in_time.injections(run)) / 1e6 for run in runs]


def test_injections_from_a_list_fall():
    """Once the lock is always held, each further vCPU makes the list longer and all of them slower."""
    one, eight, sixteen, thirty_two = rates(vgic_in_time.InjectFromList, 1, 8, 16, 32)
    assert one < thirty_two < sixteen < eight


def test_injections_from_an_xarray_do_not_rise():
    """Once the lock is always held, further vCPUs only wait."""
    sixteen, thirty_two = rates(vgic_in_time.InjectFromXarray, 16, 32)
    assert thirty_two == pytest.approx(sixteen, rel=0.1)


def test_injections_by_rcu_rise():
    """Nobody waits for anybody: as many times as there are vCPUs."""
    one, eight, thirty_two = rates(vgic_in_time.InjectByRcu, 1, 8, 32)
    assert (eight, thirty_two) == pytest.approx((8 * one, 32 * one), rel=0.01)


def test_the_list_costs_its_walk():
    """With reads that cost nothing, list and xarray are alike."""
    costs = Costs({READ_ONCE: 0, "find_lpi": 0}, handover=0)
    both = [
        vgic_in_time.injections(simulate(scenario(vcpus=16), until=20_000, costs=costs))
        for scenario in (vgic_in_time.InjectFromList, vgic_in_time.InjectFromXarray)
    ]
    assert both[0] == pytest.approx(both[1], rel=0.1)
