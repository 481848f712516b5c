"""Chapter 03: the two outcomes that comments of the patch forbid, and what forbids them.

The patch draws two pieces of code in two columns, as two CPUs execute them, and names an outcome that must not be
(source: the comments in vmbus_onoffer and vmbus_onoffer_rescind, channel_mgmt.c, 8b6a877c060e and Linux 6.1).
Both are modelled line by line, with the names of the comments: r1 is what the second CPU has read.
``OfferAgainstRescind`` is the second comment, ``ResumeAgainstRelease`` the first. Each is followed by its mutations;
some are harmless.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Mutex,
    atomic_dec,
    mutex_lock,
    mutex_unlock,
    smp_cond_load_relaxed,
)
from ..scenario import Scenario, at_end, thread

RELID = 7
INVALID_RELID = "INVALID_RELID"
CHANNEL, ANOTHER = "channel", "another channel"


# --- an offer against a rescind ----------------------------------------------------------------------


class OfferAgainstRescind(Scenario):
    """The host offers a channel and takes the offer back. The rescind must find what the offer has mapped."""

    cpus = 2

    def setup(self):
        self.offer_in_progress = Cell(1)  # counted up before the offer's work was queued
        self.channels = {RELID: Cell(None)}
        self.channel_mutex = Mutex()
        self.r1 = Cell(None)  # what the rescind finds

    @thread(cpu=0)
    def vmbus_onoffer(self):
        yield mutex_lock(self.channel_mutex)
        yield from self.count_down()
        yield from self.map_relid()
        yield mutex_unlock(self.channel_mutex)

    def count_down(self):
        yield atomic_dec(self.offer_in_progress)  # this offer is no longer in progress

    def map_relid(self):
        yield WRITE_ONCE(self.channels[RELID], CHANNEL)  # puts the channel into the array

    @thread(cpu=1)
    def vmbus_onoffer_rescind(self):
        yield smp_cond_load_relaxed(self.offer_in_progress, is_zero)  # waits until no offer is in progress
        yield mutex_lock(self.channel_mutex)
        yield from self.relid2channel()
        yield mutex_unlock(self.channel_mutex)

    def relid2channel(self):
        found = yield READ_ONCE(self.channels[RELID])  # looks the channel up
        yield WRITE_ONCE(self.r1, found)  # keeps r1, for the record

    @at_end
    def the_rescind_finds_the_channel(self, s):
        return s[self.r1] is not None or "it found nothing, and returns: the host waits for an answer"

    def outcome(self, s):
        return f"r1 = {s[self.r1]}"


def is_zero(count):
    """It is 0."""
    return count == 0


class OfferUnlocked(OfferAgainstRescind):
    """The offer takes no lock."""

    def vmbus_onoffer(self):
        yield from self.count_down()
        yield from self.map_relid()


class RescindUnlocked(OfferAgainstRescind):
    """The rescind takes no lock."""

    def vmbus_onoffer_rescind(self):
        yield smp_cond_load_relaxed(self.offer_in_progress, is_zero)  # waits until no offer is in progress
        yield from self.relid2channel()


class RescindDoesNotWait(OfferAgainstRescind):
    """The lock alone, without the count."""

    def vmbus_onoffer_rescind(self):
        yield mutex_lock(self.channel_mutex)
        yield from self.relid2channel()
        yield mutex_unlock(self.channel_mutex)


class CountedDownBeforeLock(OfferAgainstRescind):
    """The offer counts down just before it takes the lock."""

    def vmbus_onoffer(self):
        yield from self.count_down()
        yield mutex_lock(self.channel_mutex)
        yield from self.map_relid()
        yield mutex_unlock(self.channel_mutex)


class MappedAfterUnlock(OfferAgainstRescind):
    """The offer maps the channel just after it has released the lock."""

    def vmbus_onoffer(self):
        yield mutex_lock(self.channel_mutex)
        yield from self.count_down()
        yield mutex_unlock(self.channel_mutex)
        yield from self.map_relid()


class CountedDownLast(OfferAgainstRescind):
    """The two lines under the lock the other way round."""

    def vmbus_onoffer(self):
        yield mutex_lock(self.channel_mutex)
        yield from self.map_relid()
        yield from self.count_down()
        yield mutex_unlock(self.channel_mutex)


class CountedDownLastUnlocked(RescindUnlocked):
    """The other way round, and no lock on either side: right only if memory keeps the order of the lines."""

    def vmbus_onoffer(self):
        yield from self.map_relid()
        yield from self.count_down()


# --- a resume against a release ----------------------------------------------------------------------


class ResumeAgainstRelease(Scenario):
    """A channel is offered again after hibernation while its device goes away. It must not stay in the array."""

    cpus = 2

    def setup(self):
        self.relid = Cell(INVALID_RELID)  # of the channel; suspend has made it invalid
        self.channels = {RELID: Cell(None)}
        self.channel_mutex = Mutex()
        self.r1 = Cell(None)  # what the release has read

    @thread(cpu=0)
    def vmbus_onoffer(self):
        yield mutex_lock(self.channel_mutex)
        yield from self.fix_up_relid()
        yield from self.map_relid()
        yield mutex_unlock(self.channel_mutex)

    def fix_up_relid(self):
        yield WRITE_ONCE(self.relid, RELID)  # gives the channel its relid

    def map_relid(self):
        yield WRITE_ONCE(self.channels[RELID], CHANNEL)  # puts the channel back into the array

    @thread(cpu=1)
    def vmbus_device_release(self):
        yield mutex_lock(self.channel_mutex)
        relid = yield from self.read_relid()
        yield from self.unmap_relid(relid)
        yield mutex_unlock(self.channel_mutex)

    def read_relid(self):
        relid = yield READ_ONCE(self.relid)  # looks whether the channel has a relid
        yield WRITE_ONCE(self.r1, relid)  # keeps r1, for the record
        return relid

    def unmap_relid(self, relid):
        if relid != INVALID_RELID:
            yield WRITE_ONCE(self.channels[relid], None)  # takes the channel out of the array

    @at_end
    def a_released_channel_is_not_in_the_array(self, s):
        return not (s[self.r1] == RELID and s[self.channels[RELID]] == CHANNEL) or f"r1 = {RELID}, and it is mapped"

    def outcome(self, s):
        return f"r1 = {s[self.r1]}: {s[self.channels[RELID]]}"


class ResumeUnlocked(ResumeAgainstRelease):
    """The offer takes no lock."""

    def vmbus_onoffer(self):
        yield from self.fix_up_relid()
        yield from self.map_relid()


class ReleaseUnlocked(ResumeAgainstRelease):
    """The release takes no lock."""

    def vmbus_device_release(self):
        relid = yield from self.read_relid()
        yield from self.unmap_relid(relid)


class ResumeMapsAfterUnlock(ResumeAgainstRelease):
    """The offer maps the channel just after it has released the lock."""

    def vmbus_onoffer(self):
        yield mutex_lock(self.channel_mutex)
        yield from self.fix_up_relid()
        yield mutex_unlock(self.channel_mutex)
        yield from self.map_relid()


class ReleaseUnmapsAfterUnlock(ResumeAgainstRelease):
    """The release reads the relid under the lock, and unmaps just after it has released it."""

    def vmbus_device_release(self):
        yield mutex_lock(self.channel_mutex)
        relid = yield from self.read_relid()
        yield mutex_unlock(self.channel_mutex)
        yield from self.unmap_relid(relid)


class MappedFirst(ResumeAgainstRelease):
    """The two lines under the lock the other way round."""

    def vmbus_onoffer(self):
        yield mutex_lock(self.channel_mutex)
        yield from self.map_relid()
        yield from self.fix_up_relid()
        yield mutex_unlock(self.channel_mutex)


class MappedFirstUnlocked(ReleaseUnlocked):
    """The other way round, and no lock on either side: right only if memory keeps the order of the lines."""

    def vmbus_onoffer(self):
        yield from self.map_relid()
        yield from self.fix_up_relid()


# --- why suspend makes relids invalid ------------------------------------------------------------------


class RelidIsUsedAgain(ResumeAgainstRelease):
    """A socket's channel lives on after a suspend; meanwhile the host gives its relid to another channel."""

    def fix_up_relid(self):
        yield from ()  # of the other channel: nobody here reads it

    def map_relid(self):
        yield WRITE_ONCE(self.channels[RELID], ANOTHER)  # puts the other channel into the array

    @at_end
    def the_other_channel_is_mapped(self, s):
        return s[self.channels[RELID]] == ANOTHER or "the release has taken the other channel out of the array"


class RelidStaysValid(RelidIsUsedAgain):
    """The same, if suspend had left the old relid in the channel."""

    def setup(self):
        super().setup()
        self.relid.initial = RELID
