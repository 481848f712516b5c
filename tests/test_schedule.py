"""Schedules as text: what is written can be read again, and the hash knows when the code has changed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmbus_teach import Scenario, Schedule, ScheduleError
from vmbus_teach.schedule import digest

NAMES = st.from_regex(r"[^\s*:@]+", fullmatch=True)
WORDS = st.builds(lambda name, alternative: name + alternative, NAMES, st.sampled_from(("", "", ":0", ":12")))
RUNS = st.lists(st.tuples(WORDS, st.integers(1, 20)), max_size=8)
TITLES = st.sampled_from(("Race", "Race(channels=2)", "R(t='a:b')"))
HEADS = st.one_of(st.just(("", "")), st.tuples(TITLES, st.just("9f31ab")))


@given(RUNS, HEADS)
def test_round_trip(runs, head):
    """What str writes, parse reads, whatever the contexts are called."""
    schedule = Schedule(tuple(word for word, times in runs for _ in range(times)), *head)
    assert Schedule.parse(str(schedule)) == schedule
    assert Schedule.parse("\n  ".join(str(schedule).split(" "))) == schedule


def test_text():
    """Runs are written with a star, the scenario and its hash in front."""
    schedule = Schedule(("host", "host", "adder_0:1", "host"), "Race(n=2)", "9f31")
    assert str(schedule) == "Race(n=2)@9f31: host*2 adder_0:1 host"
    assert str(Schedule(schedule.steps)) == "host*2 adder_0:1 host"
    assert (str(Schedule()), str(Schedule((), "Race", "9f31"))) == ("", "Race@9f31:")
    assert (len(schedule), schedule.switches, Schedule().switches) == (4, 2, 0)


def test_alternatives_are_no_switch():
    """worker:0 and worker:1 are steps of one context."""
    assert Schedule(("worker:0", "worker:1", "host")).switches == 1


@pytest.mark.parametrize("text", ["*2", "a*", "a*b", "a**2", "a*2*3", "a*0", "a*1000000", "a*-1", "a b* c"])
def test_no_step(text):
    """A word that is no step is shown, with one that would be."""
    with pytest.raises(ScheduleError, match=r"is no step of a schedule. A step is a context's name, repeated with \*"):
        Schedule.parse(text)


@pytest.mark.parametrize("text", [None, 3, b"host", ["host"]])
def test_no_text(text):
    """Something that is no text at all."""
    with pytest.raises(ScheduleError, match="a schedule is a text such as"):
        Schedule.parse(text)


# --- the hash ------------------------------------------------------------------------------------------

CODE = '''
from vmbus_teach import Scenario, thread
from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell

STEP = 1

def bigger(value):
    return value + STEP

class Adds(Scenario):
    """Adds."""

    cpus = 1

    def setup(self, times=1):
        self.times = times
        self.count = Cell(0)

    @thread(cpu=0)
    def worker(self):
        """Works."""
        for _ in range(self.times):  # so often
            value = yield READ_ONCE(self.count)
            yield WRITE_ONCE(self.count, bigger(value))
'''

NUMBERS = itertools.count()


def digest_of(tmp_path, monkeypatch, code, in_a_file=True, **parameters):
    """The hash of the scenario that some code declares, in a file of its own or in none."""
    name = f"adds_{next(NUMBERS)}"
    if in_a_file:
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        space = vars(__import__(name))
    else:
        space = {"__name__": name}
        exec(code, space)
    return digest(space["Adds"](**parameters))


SAME = [
    ("# so often", "# another remark"),
    ("  # so often", ""),
    ('"""Works."""', '"""Works hard."""'),
    ('        """Works."""\n', ""),
    ('"""Adds."""', '"""Adds, and more."""'),
    ("(self.count, bigger(value))", "(\n    self.count,\n    bigger( value ),\n)"),
    ("range(self.times)", "range((self.times))"),
    ("STEP = 1", "UNUSED = 5\nSTEP = 1"),
]
DIFFERENT = [
    ("self.count = Cell(0)", "self.count = Cell(1)"),
    ("cpus = 1", "cpus = 2"),
    ("@thread(cpu=0)", "@thread()"),
    ("READ_ONCE(", "WRITE_ONCE("),
    ("bigger(value))", "value)"),
    ("value + STEP", "value - STEP"),
    ("STEP = 1", "STEP = 2"),
    ("range(self.times)", "range(1)"),
    ("def worker", "def adder"),
]


@pytest.mark.parametrize(("in_a_file", "old", "new"), [
    (in_a_file, *change) for in_a_file in (True, False) for change in DIFFERENT
    if in_a_file or "@" not in change[0]  # what a decorator says is in no instruction
])
def test_the_hash_follows_the_code(tmp_path, monkeypatch, in_a_file, old, new):
    """Programs, what they call, and the plain values they use: whatever could make a schedule misfit."""
    assert CODE.count(old) >= 1
    one = digest_of(tmp_path, monkeypatch, CODE, in_a_file)
    assert digest_of(tmp_path, monkeypatch, CODE.replace(old, new), in_a_file) != one


@pytest.mark.parametrize(("old", "new"), SAME)
def test_comments_and_layout_do_not_count(tmp_path, monkeypatch, old, new):
    """A schedule survives what changes no step."""
    assert CODE.count(old) == 1
    one = digest_of(tmp_path, monkeypatch, CODE)
    assert digest_of(tmp_path, monkeypatch, CODE.replace(old, new)) == one


def test_parameters_count(tmp_path, monkeypatch):
    """The same code with other parameters has other schedules."""
    assert len({digest_of(tmp_path, monkeypatch, CODE, times=times) for times in (1, 2, 3)}) == 3


def test_the_hash_does_not_depend_on_the_run():
    """It is written into notebooks, so it is the same in every run, and in every version of Python."""

    class Empty(Scenario):
        """One thread, which does nothing."""

        def setup(self):
            self.add_thread(self.worker)

        def worker(self):
            return (yield from ())

    assert digest(Empty()) == digest(Empty()) == "53b954"


def test_without_source(tmp_path, monkeypatch):
    """Code made from a string has no source; its hash is stable all the same."""
    ones = {digest_of(tmp_path, monkeypatch, CODE, in_a_file=False) for _ in range(2)}
    assert len(ones) == 1
