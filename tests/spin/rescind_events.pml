/* Chapter 04: an offer is taken back while an event of the open channel is in flight; its device can always be made.
   Without a macro: OneQueue.  With the name of a variant: that one.  EVENTS: how often the host signals. */
#ifndef EVENTS
#define EVENTS 1
#endif

bit offer_there, rescind_there, busy;    /* the connection's queue: what waits there; it is at work */
byte left = 2;
bit taken_back, listed, freed, device, failed;
bit free_later, waited_for;              /* kfree_rcu was called; the tasklet ran then, and runs still */
byte released;

/* CPU 0 */
bit irq, flag, scheduled;                /* the interrupt, the event flag, the tasklet: pending */
bit in_irq, in_call, running, disabled;  /* what it is in; the tasklet may be interrupted by both others */
bit on_cpu_list;
mtype = { enqueue, reset_callback, take_off };
chan call = [1] of { mtype };

inline alive() {
    if
    :: freed -> printf("failure use-after-free\n"); failed = 1; false
    :: else
    fi
}
inline use() { atomic { !failed -> alive() } }

active proctype Isr() {
end:
    do
    :: atomic { irq && !in_irq && !in_call && !failed -> irq = 0; in_irq = 1 };
        d_step { scheduled = 1; in_irq = 0; left-- }
    od
}

active proctype Called() {
end:
    do
    :: atomic { nempty(call) && !in_irq && !in_call && !failed -> in_call = 1 };
        if
        :: call?[enqueue] -> on_cpu_list = 1
        :: call?[reset_callback] -> use()
        :: call?[take_off] -> on_cpu_list = 0
        fi;
        atomic { in_call = 0; call?_ }
    od
}

#define MAY_RUN(condition) (!in_irq && !in_call && !failed && (condition))

active proctype Tasklet() {
    bit taken, found;
end:
    do
    :: atomic { MAY_RUN(scheduled && !disabled) -> scheduled = 0; running = 1; left++ };
        atomic { MAY_RUN(true) -> taken = flag; flag = 0 };
        if
        :: taken ->
            atomic { MAY_RUN(true) -> found = on_cpu_list };
            if
            :: found ->
                atomic { MAY_RUN(true) -> alive() };      /* its relid */
                atomic { MAY_RUN(true) -> alive() }       /* its callback */
            :: else
            fi
        :: else
        fi;
        atomic { MAY_RUN(true) -> taken = 0; found = 0; running = 0; waited_for = 0; left-- }
    od
}

inline call_and_wait(what) { use(); call!what; empty(call) && !failed }

active proctype Host() { taken_back = 1; left-- }

active proctype Messages() {
    atomic { offer_there = 1; left++ };
    taken_back && !failed;
    atomic { rescind_there = 1; left++ };
    atomic { !failed -> left-- }
}

active proctype Offer() {
    byte sent;
end:
    atomic { offer_there && !failed -> offer_there = 0; busy = 1 };
    listed = 1;
    device = 1;
    call_and_wait(enqueue);
    do
    :: sent < EVENTS ->
        flag = 1;
        if
        :: atomic { !irq && !failed -> irq = 1; left++ }
        :: atomic { irq && !failed -> skip }
        fi;
        sent++
    :: sent == EVENTS -> break
    od;
    atomic { busy = 0; left-- }
}

active proctype Rescind() {
end:
    atomic { rescind_there && !offer_there && !busy && !failed -> rescind_there = 0; busy = 1 };
    assert(listed && device);
    device = 0;
    call_and_wait(reset_callback);
    released++;
#ifdef OneQueueDrained
    atomic { !failed -> disabled = 1 };
    !running && !failed;
#endif
    call_and_wait(take_off);
    disabled = 0;
    listed = 0;
#ifdef OneQueueRcu
    atomic { !failed -> free_later = 1; waited_for = running; left++ };
#else
    atomic { !failed -> freed = 1 };
#endif
    atomic { busy = 0; left-- }
}

active proctype Grace() {
end:
    atomic { free_later && !waited_for && !failed -> freed = 1; left-- }
}

active proctype Judge() {
    timeout && !failed ->
    if
    :: left > 0 || scheduled || running -> printf("deadlock\n")
    :: else -> printf("outcome %d %d %d\n", released, listed, freed)
    fi
}
