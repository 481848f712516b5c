"""Exercises of chapter 00: reading an interleaving."""

from __future__ import annotations

from ...kernel import READ_ONCE, WRITE_ONCE, Cell, atomic_dec, atomic_inc
from ...scenario import Scenario, at_end, thread
from ...scenarios.classics import ITEM, Increments, Peterson
from ..exercise import FEWEST, WAITING, BreakIt, Exercise, Forbid, JudgeIt, RepairIt

# --- break it: six increments, and two are left ------------------------------------------------------


class SixIncrements(Increments):
    """Two workers add 1 to the counter, three times each. Can it be 2 at the end?"""

    def setup(self, threads=2, times=3):
        super().setup(threads, times)

    def nothing_is_lost(self, s):
        return True  # that updates can be lost is known; the question is how many

    @at_end
    def two_is_too_few(self, s):
        return s[self.count] != 2 or "six times 1 was added, and 2 are left"


TWO = BreakIt(
    name="00-two",
    title="Six increments, and two are left",
    scenario=SixIncrements,
    breaks="two_is_too_few",
    switches=FEWEST,
    hints=(
        "Whoever writes last decides what the counter is. For it to be 2, what must that worker have read?",
        "The last write is 2, so the last read was 1. Who can have written a 1, so late that others are nearly done?",
        "One worker reads 0 first of all and writes its 1 when the other one has done two of its rounds. The other "
        "one reads that 1 for its last round, and holds on to it while the first worker does all the rest.",
    ),
)


# --- repair it: looking while something moves, without a lock ----------------------------------------


class MovingItem(Scenario):
    """An item goes to and fro between two lists, and is on one or the other all the time; a reader looks for it.

    With ``there=False`` there is no item at all, and the reader must come back and say so.
    """

    def setup(self, moves=2, there=True):
        self.moves, self.there = moves, there
        self.lists = [Cell(frozenset({ITEM} if there else ())), Cell(frozenset())]
        self.seen = Cell(False)  # the reader has had it before its eyes

    @thread()
    def mover(self):
        for number in range(self.moves):
            yield from self.move(number % 2, 1 - number % 2)

    @thread()
    def reader(self):
        yield from self.look()

    def move(self, here, there):
        yield from self.copy(here, there)
        yield from self.clear(here)

    def look(self):
        for number in (0, 1):
            if (yield from self.is_on(number)):
                return

    def copy(self, here, there):
        items = yield READ_ONCE(self.lists[here])
        yield WRITE_ONCE(self.lists[there], items)  # puts the item on the other list

    def clear(self, here):
        yield WRITE_ONCE(self.lists[here], frozenset())  # takes the item off this one

    def is_on(self, number):
        items = yield READ_ONCE(self.lists[number])  # looks on a list
        if ITEM in items:
            yield WRITE_ONCE(self.seen, True)
        return ITEM in items

    @at_end
    def the_item_was_found(self, s):
        return s[self.seen] or not self.there or "the reader has come back without the item, which was there all along"

    @at_end
    def the_item_has_moved(self, s):
        items = frozenset({ITEM} if self.there else ())
        return [s[one] for one in self.lists] == ([items, frozenset()], [frozenset(), items])[self.moves % 2]


MOVE = RepairIt(
    name="00-move",
    title="Look while something moves, without a lock",
    scenario=MovingItem,
    may_change=("move", "look"),
    cases=({"moves": 2}, {"moves": 5}, {"moves": 9}, {"there": False}),
    forbids=(
        Forbid(WAITING, contexts=("mover",), why="The mover must never have to wait: find a way without."),
        Forbid(writes=True, contexts=("reader",), why="The reader must leave no traces: it only reads."),
    ),
    reserved={
        "seen": "It only notes for the grader that the reader has really had the item before its eyes.",
        "lists": "Use copy, clear and is_on: they are what the lists can do.",
    },
    hints=(
        "Looking twice does not help against somebody who moves twice. The reader needs to know *that* something has "
        "moved while it looked.",
        "Give the mover a counter that it changes with every move, as a Cell in setup. What does the reader know if "
        "it has found nothing, and the counter is the same as before it looked?",
        "The kernel calls it a seqcount. The mover adds 1 before a move and 1 after it, so the counter is odd while "
        "it moves. The reader notes the counter, looks on both lists, and if it has found nothing reads the counter "
        "again: the same even number means that nothing moved, anything else means to look again.",
    ),
)


# --- judge it: Peterson's algorithm, changed ---------------------------------------------------------


class TwiceInside(Peterson):
    """Peterson's algorithm, with two workers that go in twice each and are then done."""

    def worker(self, me):
        for _ in range(2):
            yield from self.ask(me)
            yield from self.wait(me)
            yield atomic_inc(self.inside)  # enters the critical section
            yield atomic_dec(self.inside)  # leaves the critical section
            yield from self.leave(me)

    def leave(self, me):
        yield WRITE_ONCE(self.wants[me], False)  # does not want to go in any more

    @at_end
    def both_are_out(self, s):
        return s[self.inside] == 0


class TurnFirst(TwiceInside):
    """Says that the other one may go first, and only then that it wants to go in."""

    def ask(self, me):
        yield WRITE_ONCE(self.turn, 1 - me)  # lets the other one go first
        yield WRITE_ONCE(self.wants[me], True)  # wants to go in


class LooksAtTheTurnFirst(TwiceInside):
    """Asks the two questions in the other order: whose turn is it, and does the other one want to go in?"""

    def wait(self, me):
        while (
            (yield READ_ONCE(self.turn)) != me  # looks whose turn it is
            and (yield READ_ONCE(self.wants[1 - me]))  # looks whether the other one wants to go in
        ):
            pass


class TurnNamesWhoWaits(TwiceInside):
    """Writes its own number as the turn, and waits as long as it finds that there."""

    def ask(self, me):
        yield WRITE_ONCE(self.wants[me], True)  # wants to go in
        yield WRITE_ONCE(self.turn, me)  # is the one to wait

    def wait(self, me):
        while (
            (yield READ_ONCE(self.wants[1 - me]))  # looks whether the other one wants to go in
            and (yield READ_ONCE(self.turn)) == me  # looks who is to wait
        ):
            pass


class HandsOver(TwiceInside):
    """Gives the turn to the other one when it leaves, too."""

    def leave(self, me):
        yield WRITE_ONCE(self.turn, 1 - me)  # hands the turn over
        yield WRITE_ONCE(self.wants[me], False)  # does not want to go in any more


class AsksOnce(TwiceInside):
    """Asks only once whether the other one wants to go in, and then just waits for its turn."""

    def wait(self, me):
        if (yield READ_ONCE(self.wants[1 - me])):  # looks whether the other one wants to go in
            while (yield READ_ONCE(self.turn)) != me:  # looks whose turn it is
                pass


class NoTurn(TwiceInside):
    """Does without the turn: waits as long as the other one wants to go in."""

    def ask(self, me):
        yield WRITE_ONCE(self.wants[me], True)  # wants to go in

    def wait(self, me):
        while (yield READ_ONCE(self.wants[1 - me])):  # looks whether the other one wants to go in
            pass


PETERSON = JudgeIt(
    name="00-peterson",
    title="Peterson's algorithm, changed",
    scenario=TwiceInside,
    mutations=(TurnFirst, LooksAtTheTurnFirst, TurnNamesWhoWaits, HandsOver, AsksOnce, NoTurn),
    because={
        "TurnFirst": "Between its two writes a worker has given way without being seen to want anything.",
        "LooksAtTheTurnFirst": "Either answer alone lets it in, and what it saw first stays true until it goes in: "
        "only itself ever gives its turn away, and who asks later gives way.",
        "TurnNamesWhoWaits": "It is the same algorithm: only the name of the number has changed.",
        "HandsOver": "It says once more what each of them says on asking anyway, and nobody relies on keeping the "
        "turn.",
        "AsksOnce": "The other one can have left for good, and then nobody gives the turn back.",
        "NoTurn": "Both want to go in, each waits for the other, and there is nobody to decide.",
    },
    hints=(
        "There are two ways to do harm: two are inside at once, or somebody can never go on.",
        "Three of the six are harmless. For each of the others look for the moment at which both have written, or one "
        "has left for good.",
        "TurnFirst: let one worker stop between its two writes. AsksOnce: let the other one leave for good right "
        "after the question. NoTurn: let both ask before either waits.",
    ),
)

EXERCISES: tuple[Exercise, ...] = (TWO, MOVE, PETERSON)
