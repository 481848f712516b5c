/* Peterson's algorithm for two processes, for ever; each read and each write is a step. */
bit wants[2], turn;
byte inside;

active [2] proctype Worker() {
    do
    ::
        wants[_pid] = 1;
        turn = 1 - _pid;
        do
        :: !wants[1 - _pid] -> break
        :: wants[1 - _pid] ->
            if
            :: turn == _pid -> break
            :: turn != _pid
            fi
        od;
        atomic { inside++; assert(inside == 1) };
        inside--;
        wants[_pid] = 0
    od
}
