/* Peterson's algorithm for two processes, for ever; each read and each write is a step of its own.
   TURN_FIRST: the first two writes the other way round. */
bit wants[2], turn;
byte inside;

active [2] proctype Worker() {
    do
    ::
#ifdef TURN_FIRST
        turn = 1 - _pid;
        wants[_pid] = 1;
#else
        wants[_pid] = 1;
        turn = 1 - _pid;
#endif
        do
        :: !wants[1 - _pid] -> break
        :: wants[1 - _pid] ->
            if
            :: turn == _pid -> break
            :: else
            fi
        od;
        inside++;
        assert(inside == 1);
        inside--;
        wants[_pid] = 0
    od
}

active proctype Judge() {
    timeout -> printf("deadlock\n")
}
