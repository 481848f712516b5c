"""Chapter 07: what lockdep says of the vGIC's locks, also where no schedule deadlocks."""

import pytest

from vmbus_teach import explore, lockdep
from vmbus_teach.scenarios import vgic_flush, vgic_put, vgic_register

INCONSISTENT = "inconsistent lock state"
INVERTED = "HARDIRQ-safe -> HARDIRQ-unsafe lock order detected"


def said(scenario, **how):
    """Which reports there are, and whether a schedule gets there."""
    return {(report.kind, report.reached is not None) for report in lockdep(explore(scenario), **how).reports}


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (vgic_put.PlainErase, {(INCONSISTENT, True)}),
        (vgic_put.InterruptedBefore, {(INCONSISTENT, False)}),
        (vgic_put.EnclosedEraseIrq, {(INCONSISTENT, True)}),
        (vgic_put.EnclosedPlainErase, set()),
        (vgic_put.LastPuts, set()),
        (vgic_put.GotInTheHandlerPlainErase, {(INCONSISTENT, True)}),
        (vgic_flush.FlushPlainErase, {(INVERTED, True)}),
        (vgic_flush.FlushOnOneCpu, {(INVERTED, False)}),
        (vgic_flush.FlushEraseIrq, {(INCONSISTENT, True)}),
        (vgic_flush.FlushAgainstPut, set()),
        (vgic_flush.DeferredInterruptsOn, set()),
        (vgic_flush.PutInTheHandlerAgain, {(INCONSISTENT, True)}),
        (vgic_flush.ListInsideXarray, {("possible circular locking dependency detected", True)}),
        (vgic_flush.ListInsideXarrayDeferred, set()),
        (vgic_register.ReleasesUnderXaLock, {("possible recursive locking detected", True)}),
    ],
)
def test_reports(scenario, expected):
    """Deadlocks through locks are predicted, also from schedules without any."""
    assert said(scenario) == expected


def test_single_cpu_facts():
    """i1 and i4 are predicted of one CPU on which nothing ever waits for ever."""
    for scenario in (vgic_put.InterruptedBefore, vgic_flush.FlushOnOneCpu):
        result = explore(scenario)
        assert result.ok
        assert len({context.cpu for context in result.scenario.cast.contexts if context.kind in ("task", "irq")}) == 1
        assert not lockdep(result).ok


@pytest.mark.parametrize(
    ("scenario", "nests"),
    [(vgic_put.EnclosedPlainErase, True), (vgic_flush.FlushAgainstPut, True), (vgic_flush.DeferredRelease, False)],
)
def test_raw_nesting(scenario, nests):
    """xa_lock inside a raw lock is seen only if asked for; the release that is put off has no such nesting."""
    assert said(scenario) == set()
    assert (("Invalid wait context", False) in said(scenario, raw_nesting=True)) == nests
