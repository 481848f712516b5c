"""The document tells the same as a session, to somebody who has read nothing but docs/format.md (``reader.py``)."""

import json
import os
import re
import subprocess
import sys
from random import Random

import jsonschema
import pytest
from conftest import ROOT
from made import (
    MADE,
    OF_THE_COURSE,
    OWN,
    TRIED,
    FailsAfterWaiting,
    Handlers,
    Open,
    Rcu,
    complete_document,
    document_of,
    random_race,
)
from reader import FATES, TABLES, Reader

from vmbus_teach import Schedule, Session
from vmbus_teach.explore import explore_machine
from vmbus_teach.kernel.base import Context, show
from vmbus_teach.kernel.cpu import Cpu
from vmbus_teach.machine import Machine
from vmbus_teach.narrate import story
from vmbus_teach.scenarios.classics import AbBa, Increments, LockInHandler

FORMAT = ROOT / "docs" / "format.md"
SCHEMA = json.loads((ROOT / "docs" / "format.schema.json").read_text())
SOME_STATES = 2_000
#: The schema is checked by a slow program; one state is written like another.
FEW_STATES = 150


# --- the same as a session -------------------------------------------------------------------------------


def compare(session, reader, path):
    """Everything that can be asked in the state at the end of a path."""
    number, _ = path[-1]
    machine = session.machine
    assert reader.faults(number) == [(f.kind, f.message) for f in session.failures]
    assert reader.faults(number) + reader.sightings(number) == [(f.kind, f.message) for f in session.sightings()]
    assert reader.shown_values(number) == session.values()
    for i, shared in enumerate(machine.shared):
        value, read = machine.value(session.number, shared), reader.whole_value(number, i)
        assert reader.value(number, i) == shared.show(value)
        if isinstance(value, Context):
            assert reader.contexts[read["context"]]["name"] == value.name
        if isinstance(shared, Cpu):
            names = {-1: "softirqs"} | {n: context["name"] for n, context in enumerate(reader.contexts)}
            stack = [(names[who], *flags) for who, *flags in read["stack"]]
            assert stack == [(str(level), *level[1:]) for level in value]
    for i, context in enumerate(machine.contexts):
        places, _ = session.standing(context)
        listing = places[-1].listing if places else []
        assert reader.standing(number, i) == ([(place.function, place.line) for place in places], listing)
        position = machine.position(session.number, i)
        assert (reader.fields(number)[i] == 0) == (position is None)
        if position is not None:
            cpu = position.cpu or context.cpu
            kind = "host" if cpu is None else "own" if cpu.private else "cpu"
            lane = reader.lanes[reader.lane(number, i)]
            assert lane["kind"] == kind
            assert kind == "own" or lane["name"] == (cpu.name if cpu else "host")
            touched = [shared.name for shared in position.operation.touches()]
            assert [reader.shared[piece]["name"] for piece in reader.position(number, i)["touches"]] == touched
    compare_choices(session, reader, number)


def compare_choices(session, reader, number):
    """Who can step, who must wait, and the words for both."""
    choices = session.choices()
    moves = reader.moves(number)
    assert list(moves) == [choice.word for choice in choices if choice.enabled]
    for choice in choices:
        if choice.enabled:
            move = moves[choice.word]
            assert reader.contexts[move[0]]["name"] == choice.context
            assert reader.choice_text(number, move) == choice.text
            position = reader.position(number, move[0])
            waited = f"has waited, and goes on after {position['text']}"
            assert (waited if "resumed" in position else position["remark"]) == choice.remark
    if not session.failures:
        waits = [(c.word, c.text, c.reason, c.waits_for) for c in choices if not c.enabled]
        assert reader.waiting(number) == waits


def compare_step(reader, before, move, step):
    """What a step was, and what it did."""
    assert reader.changes(before, move[2]) == step.changes
    told = step.result is not None or (move[1] != -1 and step.operation.chooses)
    assert reader.gives(move) == (show(step.result) if told else None)
    assert reader.failed(move) == (step.fault.message if step.fault else "")
    assert ("resumed" in reader.position(before, move[0])) == step.resumed
    assert reader.position(move[2], move[0]).get("next", "") == step.next
    if not said_otherwise(reader, move[2], step):
        assert reader.begins_to_wait(move) == step.waits


def said_otherwise(reader, number, step):
    """Whether a step waits while something fails in it, where only a session looks for the reason."""
    return bool(step.waits) and bool({kind for kind, _ in reader.faults(number)} - {"deadlock"})


def walk(session, reader, random, look, after):
    """Follows a random schedule in both; ``look`` is called before a state is read, ``after`` once it has been."""
    session.reset()
    path = [(0, None)]
    while True:
        look(path[-1][0])
        compare(session, reader, path)
        after(path)
        moves = reader.moves(path[-1][0])
        if not moves or len(path) > 60:
            return path
        word = random.choice(list(moves))
        step = session.step(word)
        move = moves[word]
        path[-1] = (path[-1][0], move)
        path.append((move[2], None))
        look(move[2])
        compare_step(reader, path[-2][0], move, step)


def ignore(_):
    """Does nothing."""


@pytest.mark.parametrize("name", TRIED)
def test_random_walks_tell_the_same(name):
    """Along random schedules, a document that is asked state by state agrees with a session in everything."""
    random = Random(name)
    scenario = MADE[name]()
    document, session = document_of(scenario), Session(scenario)
    reader = Reader(document.content())

    def ask(number):
        if not reader.knows(number):
            document.expand_around(number, 3)
            reader.take(document.news())

    for _ in range(6):
        path = walk(session, reader, random, ask, ignore)
        if not session.trace or not said_otherwise(reader, path[-1][0], session.trace[-1]):
            assert reader.lines(path) == story(session.trace)


@pytest.mark.parametrize("name", TRIED)
def test_the_fates_are_those_of_the_exploration(name):
    """Each choice has the fate that Exploration gives it, also where the search was cut short."""
    random = Random(name)
    scenario = MADE[name]()
    document = document_of(scenario)
    complete = document.expand_all(SOME_STATES)
    result = explore_machine(document.machine, SOME_STATES)
    document.add(result)
    reader, session = Reader(document.content()), Session(scenario)
    assert reader.complete == complete
    assert not complete or len(reader.states) == len(reader.fates)

    def ask(number):
        if not reader.knows(number):
            assert not complete
            document.expand_around(number, 3)
            reader.take(document.news())

    def fates(path):
        number, _ = path[-1]
        found = {word: FATES[reader.fates[move[2]]] for word, move in reader.moves(number).items()}
        assert found == result.fates(session)

    for _ in range(2):
        walk(session, reader, random, ask, fates)
    assert reader.explored["ok"] == result.ok
    assert reader.explored["schedules"] == (None if result.schedules is None else str(result.schedules))


@pytest.mark.parametrize("name", OF_THE_COURSE)
def test_the_failures_of_a_search_can_be_followed(name):
    """The steps of each failure lead through the document to a state that fails so, or is seen to race."""
    reader = Reader(complete_document(MADE[name]()).content())
    for failure in reader.explored["failures"]:
        number = 0
        for word in failure["steps"]:
            number = reader.moves(number)[word][2]
        assert (failure["kind"], failure["message"]) in reader.faults(number) + reader.sightings(number)


# --- how it grows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["PerCpuLists", *OWN])
def test_news_put_together_are_the_whole(name):
    """Asked for in any order and told in pieces, everything arrives once, and is what the whole document says."""
    random = Random(name)
    document = document_of(MADE[name]())
    reader = Reader(document.content())
    waiting = [0]
    while waiting:
        number = waiting.pop(random.randrange(len(waiting)))
        waiting += [to for to in set(document.expand(number)) if not reader.knows(to) and to not in waiting]
        if random.random() < 0.3:
            reader.take(document.news())
        if len(reader.states) > SOME_STATES // 4:
            break
    assert not document.complete or not waiting
    document.add(explore_machine(document.machine, SOME_STATES))
    reader.take(document.news())
    assert reader.whole() == Reader(document.content()).whole()
    nothing = document.news()
    assert not nothing["states"] and not any(table["items"] for table in nothing["values"])


def test_nothing_is_told_twice():
    """A state that was asked for before is no news; the states along a schedule are."""
    document = document_of(Increments())
    reader = Reader(document.content())
    assert not reader.states and not reader.complete
    path = document.follow(("worker_0", "worker_1"))
    reader.take(document.news())
    assert path == [0, reader.moves(0)["worker_0"][2], reader.moves(path[1])["worker_1"][2]]
    assert all(reader.knows(move[2]) for move in reader.moves(path[-1]).values())
    document.follow(("worker_0", "worker_1"))
    assert document.news()["states"] == {}


def test_a_schedule_is_followed_as_far_as_it_fits():
    """Also one that goes on after a failure, or names nobody."""
    document = document_of(Increments())
    assert document.follow(()) == [0]
    assert len(document.follow(("worker_0",) * 9)) == 3
    assert len(document.follow(("worker_1", "nobody"))) == 2
    failing = document_of(Open())
    words = ("worker:2", "worker", "worker", "worker", "breaker", "breaker")
    assert len(failing.follow((*words, *words))) == len(words) + 1


def test_a_limit():
    """Where there are more states than allowed, it stops soon, says so, and can go on."""
    document = document_of(Increments(threads=2, times=4))
    assert not document.expand_all(100) and not document.complete
    some = len(document.content()["states"])
    assert 50 < some <= 100
    assert not document.content()["complete"]
    assert document.expand_all(541) and document.complete
    assert len(document.content()["states"]) == 541  # tests/test_golden.py knows this number
    assert document.expand_all(1), "what is known stays known"


def test_complete_is_seen_without_a_search():
    """A document that was asked for every state knows that there are no more."""
    document = document_of(Increments())
    for number in range(12):
        assert not document.complete
        document.expand(number)
    assert document.complete


def test_identical_tasks_are_told_apart():
    """A search merges them; who steps through the document sees which one it was."""
    document = complete_document(Increments())
    reader = Reader(document.content())
    (_, _, one, _), (_, _, other, _) = reader.moves(0).values()
    assert list(reader.moves(0)) == ["worker_0", "worker_1"]
    assert one != other
    assert list(reader.moves(reader.moves(one)["worker_0"][2])) == ["worker_1"]
    assert len(reader.states) == 12 > reader.explored["states"]


def test_the_exploration_must_be_of_the_same_machine():
    """Another machine numbers its states otherwise."""
    with pytest.raises(AssertionError, match="another machine"):
        document_of(Increments()).add(explore_machine(Machine(Increments(), width=32), 100))


# --- particular cases ------------------------------------------------------------------------------------------


def path_of(reader, schedule):
    """The states and moves along a schedule."""
    path = [(0, None)]
    for word in Schedule.parse(schedule).steps:
        number, _ = path.pop()
        move = reader.moves(number)[word]
        path += [(number, move), (move[2], None)]
    return path


def test_a_deadlock_shows_who_waits_for_whom():
    """In a state in which nobody can go on there are no moves, and everybody's reason is there."""
    reader = Reader(complete_document(LockInHandler()).content())
    path = path_of(reader, "task device handler*2")
    number, _ = path[-1]
    assert [kind for kind, _ in reader.faults(number)] == ["deadlock"]
    assert not reader.moves(number)
    assert [(who, on) for who, _, _, on in reader.waiting(number)] == [("task", ("handler",)), ("handler", ("task",))]
    assert reader.lines(path)[-1].startswith("   4  takes the lock, in the handler: ")
    assert "; it spins for events_lock, held by task" in reader.lines(path)[-1]


@pytest.mark.parametrize(
    ("made", "about"),
    [(Increments, ["count"]), (LockInHandler, ["events", "events_lock"]), (Handlers, []), (AbBa, ["a", "b"])],
)
def test_what_a_failure_is_about(made, about):
    """The pieces of state that a property looks at, or that those in a deadlock want."""
    content = complete_document(made()).content()
    found = {piece for fault in content["faults"]["items"] for piece in fault["about"]}
    assert sorted(content["shared"][piece]["name"] for piece in found) == about


def test_kinds_of_state():
    """Each piece says what it is, and whose: an object's fields, an interrupt's handler, a CPU's lane."""

    def pieces(made):
        content = document_of(made()).content()
        shared = content["shared"]
        names = {key: [entry["name"] for entry in content[f"{key}s"]] for key in ("lane", "context")}
        names["owner"] = [piece["name"] for piece in shared]
        return {p["name"]: (p["kind"], *(names[key][p[key]] for key in names if key in p)) for p in shared}

    found = pieces(Handlers)
    assert (found["count"], found["lock"], found["bottom"]) == (("state",), ("lock",), ("state",))
    assert (found["isr"], found["CPU 1"]) == (("interrupt", "isr"), ("cpu", "CPU 1"))
    assert found["rcu readers"] == ("inside",)
    found = pieces(Rcu)
    assert (found["thing"], found["thing#0"]) == (("heap",), ("object",))
    assert found["thing#1.value"] == ("field", "thing#1")


def test_a_step_that_fails_does_not_wait():
    """The step that ends a wait can itself fail: it has waited, and is told to fail, not to wait."""
    reader = Reader(complete_document(FailsAfterWaiting()).content())
    path = path_of(reader, "holder asserts holder asserts")
    assert re.fullmatch(
        r"   4  has waited: spin_lock\(lock\)   \[lock free -> held by asserts\]   "
        r"FAILS: an assertion of asserts fails in asserts, line \d+ of made.py: it never gets here",
        reader.lines(path)[-1],
    )


def test_the_order_of_those_waited_for_is_the_machines():
    """Who is first to run stands first."""
    made = random_race("softirqs", 7)
    document, session = document_of(made), Session(made)
    assert document.expand_all(SOME_STATES)
    reader = Reader(document.content())
    turned = [state for state in reader.states.values() if any(on != sorted(on) for _, _, on in state[3])]
    assert turned, "this race has no such state any more; choose another"
    walks = (walk(session, reader, Random(seed), ignore, ignore) for seed in range(50))
    assert any(reader.states[str(number)] in turned for path in walks for number, _ in path)


def test_what_was_sent_can_be_read_as_a_schedule():
    """Scenario, digest and words make the text that a session replays."""
    document = document_of(Rcu(early=True))
    scenario = document.content()["scenario"]
    session = Session(Rcu(early=True))
    session.replay(f"{scenario['name']}@{scenario['digest']}: updater*3 reader_1")
    assert (session.schedule.scenario, session.schedule.digest) == (scenario["name"], scenario["digest"])
    assert scenario["title"] == "Rcu(early=True)" and scenario["about"].startswith("Readers of an object")


HASHES = """
import hashlib, json, sys
sys.path.insert(0, "tests")
from made import MADE, complete_document
for name in sys.argv[1:]:
    print(hashlib.sha256(json.dumps(complete_document(MADE[name]()).content()).encode()).hexdigest())
"""


def test_the_same_in_every_run():
    """The text of a document does not depend on the order in which Python keeps its sets."""
    names = ["PerCpuLists", "LockInHandler", "Handlers", "Works", "Rcu", "Open", "rcu1", "everything2"]
    runs = []
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        run = subprocess.run([sys.executable, "-c", HASHES, *names], cwd=ROOT, env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        runs.append(run.stdout.split())
    assert len(runs[0]) == len(names)
    assert runs[0] == runs[1]


# --- the schema ----------------------------------------------------------------------------------------------------

CHECK = jsonschema.Draft202012Validator(SCHEMA)
CHECK_NEWS = CHECK.evolve(schema={"$ref": "#/$defs/news", "$defs": SCHEMA["$defs"]})


@pytest.mark.parametrize("name", [*OF_THE_COURSE, *OWN])
def test_the_schema_fits(name):
    """What is sent, at first, in pieces and as a whole, is what docs/format.schema.json says."""
    document = document_of(MADE[name]())
    CHECK.validate(json.loads(json.dumps(document.content())))
    document.expand_around(0, 2)
    CHECK_NEWS.validate(json.loads(json.dumps(document.news())))
    document.expand_all(FEW_STATES)
    document.add(explore_machine(document.machine, FEW_STATES))
    news = json.loads(json.dumps(document.news()))
    CHECK_NEWS.validate(news)
    assert not CHECK.is_valid(news)
    CHECK.validate(json.loads(json.dumps(document.content())))


def test_the_schema_is_one():
    """It is itself valid, and describes every object it names completely."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def spoiled():
    """Ways to break a document, by name."""
    first = {"from": 0, "items": []}
    return {
        "version": lambda d: d.update(version=2),
        "no lanes": lambda d: d.pop("lanes"),
        "a further key of a table": lambda d: d["texts"].update(more=first),
        "a state of five parts": lambda d: d["states"]["0"].pop(),
        "a move without a target": lambda d: d["states"]["0"][2][0].pop(),
        "half a difference": lambda d: d["states"]["0"][1].append("one"),
        "a kind of lane": lambda d: d["lanes"][0].update(kind="street"),
        "a fate": lambda d: d.update(fates="012x"),
        "a number of schedules": lambda d: d["explored"].update(schedules=6),
        "a level of a CPU": lambda d: d["values"][7]["items"][0]["stack"].append([0, 1]),
        "a position without a text": lambda d: d["positions"]["items"][1].pop("text"),
    }


@pytest.mark.parametrize("how", spoiled())
def test_the_schema_refuses(how):
    """It notices what is missing, too much, or of another kind."""
    content = json.loads(json.dumps(complete_document(Increments()).content()))
    assert CHECK.is_valid(content)
    spoiled()[how](content)
    assert not CHECK.is_valid(content)


# --- the page ---------------------------------------------------------------------------------------------------------


def blocks(language):
    """The examples in docs/format.md that are in this language."""
    return re.findall(rf"```{language}\n(.*?)```", FORMAT.read_text(), re.DOTALL)


def example(folder, monkeypatch):
    """The scenario of the page, as a document with all that a search has found."""
    (folder / "increments.py").write_text(blocks("python")[0])
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop("increments", None)
    import increments

    return complete_document(increments.Increments()).content()


def written(content):
    """A document as the page shows it: one line per item, and of the pieces of state only the first."""
    lines = []
    for name, part in content.items():
        if name in ("shared", "values"):
            lines.append(f'"{name}": [{json.dumps(part[0])}, …],')
        elif name in TABLES:
            lines += [f'"{name}": {{"from": 0, "items": [', *(f"    {json.dumps(item)}," for item in part["items"])]
            lines[-1] = lines[-1][:-1] + "]},"
        elif name == "states":
            lines += ['"states": {', *(f'    "{n}": {json.dumps(entry)},' for n, entry in part.items())]
            lines[-1] = lines[-1][:-1] + "},"
        elif isinstance(part, dict):
            lines += [f'"{name}": {{', *(f'    "{key}": {json.dumps(value)},' for key, value in part.items())]
            lines[-1] = lines[-1][:-1] + "},"
        else:
            lines.append(f'"{name}": {json.dumps(part)},')
    return "{" + "\n ".join(lines)[:-1] + "}\n"


def test_the_example_in_the_page(tmp_path, monkeypatch):
    """The document that docs/format.md shows is the one that its scenario has."""
    assert blocks("text")[0] == written(example(tmp_path, monkeypatch))


def test_the_walk_in_the_page(tmp_path, monkeypatch):
    """The story that docs/format.md reads off the document is there."""
    reader = Reader(example(tmp_path, monkeypatch))
    path = path_of(reader, "worker_0 worker_1*2 worker_0")
    assert blocks("text")[1].splitlines() == reader.lines(path)


def test_the_page_and_the_schema_name_every_key():
    """No key of a document is missing in the page."""

    def keys(part):
        for name, inside in part.get("properties", {}).items():
            yield name
            yield from keys(inside)
        for inside in [*part.get("$defs", {}).values(), part.get("items")]:
            if isinstance(inside, dict):
                yield from keys(inside)
        for inside in part.get("anyOf", []):
            yield from keys(inside)

    page = FORMAT.read_text()
    assert not [name for name in keys(SCHEMA) if f"`{name}`" not in page]
