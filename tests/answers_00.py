"""Wrong answers to the exercises of chapter 00."""

from answers import Wrong, flipped

from vmbus_teach.grading.chapters.ch00 import ITEM, MovingItem
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell, SpinLock, atomic_inc, spin_lock, spin_unlock

TWO = [
    Wrong("worker_0*6 worker_1*6", "fails", "All has been done .* count is 6"),
    Wrong("worker_0 worker_1*6 worker_0*5", "fails", "All has been done .* count is 3"),
    Wrong("worker_0 worker_1*4 worker_0", "fails", "stops before its end .* Possible now: worker_0, worker_1"),
    Wrong("worker_0 worker_1*2 worker_0 worker_1*0", "refused", "'worker_1\\*0' is no step of a schedule"),
    Wrong(
        "worker_0 worker_1*3 worker_0 worker_1 worker_0 worker_1 worker_0*3 worker_1", "fails",
        "All has been done .* count is 3",
    ),
    Wrong("worker_0 worker_1*4 worker_0*2 worker_1 worker_0*2 worker_1 worker_0", "fails", "count is 3"),
    Wrong("worker_1 worker_0 worker_1 worker_0 worker_1", "fails", "stops before its end"),
    Wrong("worker_0 worker_2", "fails", "Step 2 of 2 .* there is no context 'worker_2'.* Did you mean"),
    Wrong("worker_0*7", "fails", "Step 7 of 7 .* worker_0 has nothing to do now"),
    Wrong(["worker_0", "worker_1"], "refused", "is a schedule, not .*a list"),
]  # fmt: skip


class TwoCounts(MovingItem):
    """One count of the moves that have begun, one of those that have ended; the reader asks in the other order."""

    def setup(self, moves=2, there=True):
        super().setup(moves, there)
        self.begun, self.ended = Cell(0), Cell(0)

    def move(self, here, there):
        yield atomic_inc(self.begun)
        yield from super().move(here, there)
        yield atomic_inc(self.ended)

    def look(self):
        ended, begun = 0, None
        while ended != begun:
            ended = yield READ_ONCE(self.ended)
            if (yield from self.is_on(0)) or (yield from self.is_on(1)):
                return
            begun = yield READ_ONCE(self.begun)


class LooksTwice(MovingItem):
    """Looks twice."""

    def look(self):
        for number in (0, 1, 0, 1):
            if (yield from self.is_on(number)):
                return


class LooksFourTimes(MovingItem):
    """Looks four times."""

    def look(self):
        for number in (0, 1) * 4:
            if (yield from self.is_on(number)):
                return


class LooksForEver(MovingItem):
    """Looks until it finds the item."""

    def look(self):
        found = False
        while not found:
            found = (yield from self.is_on(0)) or (yield from self.is_on(1))


class BothLock(MovingItem):
    """One lock around every move and around the looking."""

    def setup(self, moves=2, there=True):
        super().setup(moves, there)
        self.lock = SpinLock()

    def move(self, here, there):
        yield spin_lock(self.lock)
        yield from super().move(here, there)
        yield spin_unlock(self.lock)

    def look(self):
        yield spin_lock(self.lock)
        yield from super().look()
        yield spin_unlock(self.lock)


class StopsTheMover(MovingItem):
    """The reader sets a flag, and the mover polls it: a lock by another name."""

    def setup(self, moves=2, there=True):
        super().setup(moves, there)
        self.looking = Cell(False)

    def move(self, here, there):
        while (yield READ_ONCE(self.looking)):
            pass
        yield from super().move(here, there)

    def look(self):
        yield WRITE_ONCE(self.looking, True)
        yield from super().look()
        yield WRITE_ONCE(self.looking, False)


class NeverMoves(MovingItem):
    """Leaves the item where it is."""

    def move(self, here, there):
        yield from ()


class MissesTheMiddle(MovingItem):
    """Counts at both ends of a move that takes the item off first, and does not look whether the count is odd."""

    def setup(self, moves=2, there=True):
        super().setup(moves, there)
        self.seq = Cell(0)

    def move(self, here, there):
        yield atomic_inc(self.seq)
        yield from self.clear(here)
        yield WRITE_ONCE(self.lists[there], frozenset({ITEM}))
        yield atomic_inc(self.seq)


class ComparesOnly(MovingItem):
    """Counts at both ends of a move that puts the item on last, and only compares the counts."""

    def setup(self, moves=2, there=True):
        super().setup(moves, there)
        self.seq = Cell(0)

    def look(self):
        before = after = None
        while before is None or before != after:
            before = yield READ_ONCE(self.seq)
            if (yield from self.is_on(0)) or (yield from self.is_on(1)):
                return
            after = before


class SaysSo(MovingItem):
    """Notes that it has seen the item, without a look."""

    def look(self):
        yield WRITE_ONCE(self.seen, True)


MOVE = [
    Wrong(LooksTwice, "fails", "the reader has come back without the item.*LooksTwice\\(moves=5\\)"),
    Wrong(LooksFourTimes, "fails", "the reader has come back without the item.*LooksFourTimes\\(moves=9\\)"),
    Wrong(LooksForEver, "fails", "no schedule ends at all"),
    Wrong(BothLock, "refused", "mover does spin_lock.* The mover must never have to wait"),
    Wrong(StopsTheMover, "refused", "reader does WRITE_ONCE\\(looking, True\\).* The reader must leave no traces"),
    Wrong(NeverMoves, "fails", "the_item_has_moved does not hold"),
    Wrong(MissesTheMiddle, "refused", "lists is not for your code to touch"),
    Wrong(ComparesOnly, "fails", "the reader has come back without the item"),
    Wrong(SaysSo, "refused", "reader does WRITE_ONCE\\(seen, True\\)"),
]

_PETERSON = {
    "TurnFirst": "harmful", "LooksAtTheTurnFirst": "harmless", "TurnNamesWhoWaits": "harmless",
    "HandsOver": "harmless", "AsksOnce": "harmful", "NoTurn": "harmful",
}  # fmt: skip

PETERSON = [
    Wrong(flipped(_PETERSON, "TurnFirst"), "fails", "TurnFirst is harmless. This schedule .*one_at_a_time does not "
                                                    "hold"),
    Wrong(flipped(_PETERSON, "LooksAtTheTurnFirst"), "fails", "LooksAtTheTurnFirst holds under every schedule"),
    Wrong(flipped(_PETERSON, "TurnNamesWhoWaits"), "fails", "TurnNamesWhoWaits holds under every schedule"),
    Wrong(flipped(_PETERSON, "HandsOver"), "fails", "5 of 6 .*HandsOver holds under every schedule"),
    Wrong(flipped(_PETERSON, "AsksOnce"), "fails", "AsksOnce is harmless.*no schedule ends from here on"),
    Wrong(flipped(_PETERSON, "NoTurn"), "fails", "NoTurn is harmless.*no schedule ends from here on"),
    Wrong(dict.fromkeys(_PETERSON, "harmless"), "fails", "3 of 6 judgements are right. You say that TurnFirst"),
    Wrong({**_PETERSON, "NoTurn": "benign"}, "refused", "NoTurn is judged 'benign'"),
    Wrong({**_PETERSON, "NoTrun": "harmful"}, "refused", "no mutation 'NoTrun'. Did you mean NoTurn"),
    Wrong({"TurnFirst": "harmful"}, "refused", "LooksAtTheTurnFirst, .*: not judged yet"),
]

RIGHT = {"00-move": TwoCounts}
WRONG = {"00-two": TWO, "00-move": MOVE, "00-peterson": PETERSON}
