/* Chapter 03: an offer against a rescind.  Without a macro: OfferAgainstRescind.  With the name of a variant: that one. */
byte offer_in_progress = 1, finished;
bit mapped, mutex, found;

inline lock() { atomic { !mutex -> mutex = 1 } }
inline unlock() { mutex = 0 }
inline count_down() { offer_in_progress-- }
inline map() { mapped = 1 }

active proctype Offer() {
#if defined(OfferUnlocked)
    count_down(); map();
#elif defined(CountedDownBeforeLock)
    count_down(); lock(); map(); unlock();
#elif defined(MappedAfterUnlock)
    lock(); count_down(); unlock(); map();
#elif defined(CountedDownLast)
    lock(); map(); count_down(); unlock();
#elif defined(CountedDownLastUnlocked)
    map(); count_down();
#else
    lock(); count_down(); map(); unlock();
#endif
    finished++
}

active proctype Rescind() {
    bit seen;
#ifndef RescindDoesNotWait
    offer_in_progress == 0;
#endif
#if defined(RescindUnlocked) || defined(CountedDownLastUnlocked)
    seen = mapped; found = seen;
#else
    lock(); seen = mapped; found = seen; unlock();
#endif
    finished++
}

active proctype Judge() {
    timeout ->
    if
    :: finished < 2 -> printf("deadlock\n")
    :: else -> printf("outcome %d\n", found); assert(found)
    fi
}
