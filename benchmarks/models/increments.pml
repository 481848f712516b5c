/* T processes add 1 to one counter, N times each, by a read and a write. What else they do belongs to these steps. */
byte count, finished;

active [T] proctype Worker() {
    byte n, value;
    do
    :: d_step { n < N -> value = count };
        d_step { count = value + 1; value = 0; n++ }
    :: d_step { n == N -> finished++; if :: finished == T -> assert(count == T * N) :: else fi };
        break
    od
}
