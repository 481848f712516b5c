"""What Python says, written down for the tests in Node: documents, walks through them, sentences of errors.

    cd tests && python -m js.fixtures /tmp/fixtures && FIXTURES=/tmp/fixtures node --test js/
"""

import json
import shutil
import sys
from pathlib import Path
from random import Random

import tricky
from conftest import ROOT
from made import MADE, TRIED

from vmbus_teach import Schedule, ScheduleError, Session
from vmbus_teach.checkers.data_race import DataRaces
from vmbus_teach.document import Document
from vmbus_teach.explore import explore_machine
from vmbus_teach.kernel.base import show
from vmbus_teach.machine import Machine
from vmbus_teach.narrate import sentence, story

STEPPER = ROOT / "vmbus_teach" / "views" / "static" / "stepper.js"
ENOUGH_STATES = 3_000
LONGEST = 40

#: Asked for by name in the tests.
NAMED = ("PerCpuLists", "HostIsLate", "WaitAndDrain")
#: Some of the course, ones that have everything, some of the random races, some of the tricky programs.
SCENARIOS = {name: MADE[name] for name in (*NAMED, *TRIED) if name[-1] not in "4567"} | {
    name: lambda program=program: tricky.Tricky(program=program)
    for name, program in [*tricky.PROGRAMS.items()][::5]
}


def write(folder):
    """Writes all of it, and the stepper under a name that every Node takes for a module."""
    folder = Path(folder)
    (folder / "scenarios").mkdir(parents=True, exist_ok=True)
    shutil.copy(STEPPER, folder / "stepper.mjs")
    for name, make in SCENARIOS.items():
        if content := of_scenario(name, make()):
            (folder / "scenarios" / f"{name}.json").write_text(json.dumps(content))
    (folder / "schedules.json").write_text(json.dumps(schedules(Random("schedules"))))


# --- scenarios -------------------------------------------------------------------------------------------


def of_scenario(name, scenario):
    """A complete document, walks through it, and schedules that do not fit; None if it has too many states."""
    random = Random(name)
    machine = Machine(scenario, width=32)
    document = Document(machine)
    if not document.expand_all(ENOUGH_STATES):
        return None
    result = explore_machine(machine, ENOUGH_STATES)
    document.add(result)
    failures = [failure.schedule.steps for failure in result.failures]
    ways = [at_random(scenario, machine, random) for _ in range(2)] + failures[:3]
    return {
        "document": document.content(),
        "walks": [walk(Session(scenario, machine), result if way is not ways[1] else None, way) for way in ways],
        "conversation": conversation(scenario, ways[0]),
        "replays": replays(scenario, machine, ways, random),
    }


def at_random(scenario, machine, random):
    """The words of a random walk."""
    session = Session(scenario, machine)
    while len(session.trace) < LONGEST:
        can = [choice for choice in session.choices() if choice.enabled]
        if not can:
            break
        session.step(random.choice(can))
    return session.schedule.steps


def walk(session, result, words):
    """Everything that a session tells along the way: states (one more than there are steps), steps, the story.

    The fates, which take time, only if ``result`` is given.
    """
    states, steps = [state(session, result)], []
    for word in words:
        session.step(word)
        steps.append(step(session))
        states.append(state(session, result))
    return {"words": words, "text": str(session.whole), "states": states, "steps": steps,
            "whole": str(session.schedule), "story": story(session.trace)}


def state(session, result):
    """What there is to see and to choose where a session stands."""
    races = () if session.failures else DataRaces(session.machine).look(session.number)
    return {
        "choices": [(c.word, c.text, c.remark, c.enabled, c.reason, c.waits_for) for c in session.choices()],
        "failures": [(fault.kind, fault.message) for fault in session.failures],
        "sightings": [(fault.kind, fault.message) for fault in races],
        "values": session.values(),
        "fates": result and result.fates(session),
    }


def step(session):
    """What the last step did, and who has written what until now."""
    last = session.trace[-1]
    told = last.result is not None or " gives None" in last.choice.text
    writers = {name: number for number, one in enumerate(session.trace, 1) for name, _, _ in one.changes}
    return {
        "sentence": sentence(last), "changes": last.changes, "waits": last.waits, "resumed": last.resumed,
        "gives": show(last.result) if told else "", "next": last.next, "writers": writers,
        "fails": last.fault.message if last.fault else "",
    }


def conversation(scenario, words):
    """What a page asks for that knows two steps, on the way along a schedule, and what it is answered."""
    session = Session(scenario, Machine(scenario, width=32))
    document = Document(session.machine)
    document.expand_around(0, 2)
    start, asked, number = document.content(), [], 0
    for word in words:
        moves = document._entries[number][2]
        number = next(to for who, alternative, to, _ in moves if document._word(who, alternative) == word)
        if number not in document._entries:
            document.expand_around(number, 3)
            asked.append({"request": {"do": "expand", "state": number}, "news": document.news()})
    return {"start": start, "asked": asked}


def replays(scenario, machine, ways, random):
    """Texts of schedules, most of which do not fit, and the sentence that each ends in ("" if it fits)."""
    names = [context.name for context in machine.contexts]
    texts = ["", "nobody", "'nobody*2", "no-'\"-body", "back\\slash", ":", ":1", "*2", "a**2"]
    for way in ways:
        for _ in range(3):
            start = list(way[: random.randint(0, len(way))])
            name = random.choice(names)
            word = random.choice([name, name + ":7", name + "x", name[:-1], name[1:] + "0", name.upper(), "w_0"])
            text = str(Schedule((*start, word, *start[:2])))
            texts += [text, f"Some(code=1)@0123ab: {text}"]
        texts.append(str(Schedule((*way, names[0]))))
    return [(text, why_not(Session(scenario, machine), text)) for text in texts]


def why_not(session, text):
    """The sentence in which a replay ends."""
    try:
        session.replay(text)
    except ScheduleError as error:
        return str(error)
    return ""


# --- schedules -------------------------------------------------------------------------------------------

PIECES = ("host", "worker_0", "w:1", "x", "*", "*2", "*3", "*0", "*03", "*1000000", "**", " ", " ", "  ", "\n", "\t",
          ":", "@", "@9f31:", "@9f3:", "@9f31", "Lost(limit=2)@0123ab: ", "7", "12", "-1", "é", "'", '"', "\\", ".")


def schedules(random):
    """Texts and what Schedule.parse makes of them: the steps, name and digest, its text again; or an error."""
    texts = ["", " ", "host", "host*2 worker_0", "host*999999", "A@0123: host", "A@0123:", "A@0123:host",
             "A(x=1, y=2)@beef: a b*2\n  c", "a@b@0123: c", "@0123: a", "a @0123: b", "host * 2", "host*", "*"]
    texts += ["".join(random.choices(PIECES, k=random.randint(1, 9))) for _ in range(4_000)]
    return [{"text": text, **parsed(text)} for text in texts]


def parsed(text):
    """What Schedule.parse says."""
    try:
        schedule = Schedule.parse(text)
    except ScheduleError as error:
        return {"error": str(error)}
    steps = schedule.steps if len(schedule) < 100 else []
    return {"steps": steps, "length": len(schedule), "name": schedule.scenario, "digest": schedule.digest,
            "again": str(schedule)}


if __name__ == "__main__":
    write(sys.argv[1])
