/* Chapter 03: a resume against a release.  Without a macro: ResumeAgainstRelease.  With the name of a variant: that one. */
#if defined(RelidStaysValid)
bit valid = 1;             /* the channel has a relid */
#else
bit valid;
#endif
#if defined(RelidIsUsedAgain) || defined(RelidStaysValid)
#define ANOTHER
#endif
bit mapped, mutex, r1;
byte finished;

inline lock() { atomic { !mutex -> mutex = 1 } }
inline unlock() { mutex = 0 }
inline map() { mapped = 1 }

inline fix_up() {
#ifdef ANOTHER
    skip
#else
    valid = 1
#endif
}

inline unmap() {
    if
    :: r1 -> mapped = 0
    :: else
    fi
}

active proctype Resume() {
#if defined(ResumeUnlocked)
    fix_up(); map();
#elif defined(ResumeMapsAfterUnlock)
    lock(); fix_up(); unlock(); map();
#elif defined(MappedFirst)
    lock(); map(); fix_up(); unlock();
#elif defined(MappedFirstUnlocked)
    map(); fix_up();
#else
    lock(); fix_up(); map(); unlock();
#endif
    finished++
}

active proctype Release() {
#if defined(ReleaseUnlocked) || defined(MappedFirstUnlocked)
    r1 = valid; unmap();
#elif defined(ReleaseUnmapsAfterUnlock)
    lock(); r1 = valid; unlock(); unmap();
#else
    lock(); r1 = valid; unmap(); unlock();
#endif
    finished++
}

active proctype Judge() {
    timeout ->
    if
    :: finished < 2 -> printf("deadlock\n")
    :: else ->
        printf("outcome %d %d\n", r1, mapped);
#ifdef ANOTHER
        assert(mapped)
#else
        assert(!(r1 && mapped))
#endif
    fi
}
