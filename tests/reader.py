"""A reader of the JSON form, written from docs/format.md alone: shares no code with what writes it."""

import json

TABLES = ("texts", "listings", "positions", "faults")
KINDS_OF_SETUP = ("state", "lock", "object", "field", "heap")
FAILURES_OF_STATES = ("invariant", "at_end", "deadlock", "leak")
FATES = {"0": "impossible", "1": "possible", "2": "certain", "-": "unknown"}


class Reader:
    """What can be read in a document: every method says it in the words of a session."""

    def __init__(self, content):
        content = json.loads(json.dumps(content))
        assert (content["format"], content["version"]) == ("vmbus_teach/stepper", 1)
        self.scenario, self.lanes = content["scenario"], content["lanes"]
        self.contexts, self.shared = content["contexts"], content["shared"]
        self.tables = {name: [] for name in TABLES}
        self.values = [[] for _ in self.shared]
        self.states, self._fields = {}, {}
        self.take(content)

    def take(self, news):
        """Takes in what has come since."""
        news = json.loads(json.dumps(news))
        tables = [self.tables[name] for name in TABLES] + self.values
        for table, more in zip(tables, [news[name] for name in TABLES] + news["values"], strict=True):
            assert more["from"] == len(table), "something is missing, or comes twice"
            table += more["items"]
        assert not self.states.keys() & news["states"].keys()
        self.states |= news["states"]
        self.complete, self.fates, self.explored = news["complete"], news["fates"], news["explored"]

    def whole(self):
        """All that has been taken in so far."""
        return (self.tables, self.values, self.states, self.complete, self.fates, self.explored)

    def knows(self, number):
        return str(number) in self.states

    def fields(self, number):
        if number not in self._fields:
            parent, different, *_ = self.states[str(number)]
            none = [0] * (len(self.contexts) + len(self.shared))
            fields = none if parent == -1 else [*self.fields(parent)]
            for field, content in zip(different[::2], different[1::2], strict=True):
                fields[field] = content
            self._fields[number] = fields
        return self._fields[number]

    def position(self, number, context):
        return self.tables["positions"][self.fields(number)[context]]

    def whole_value(self, number, piece):
        return self.values[piece][self.fields(number)[len(self.contexts) + piece]]

    def value(self, number, piece):
        value = self.whole_value(number, piece)
        return value["text"] if isinstance(value, dict) else value

    def word(self, move):
        context, alternative, *_ = move
        name = self.contexts[context]["name"]
        return name if alternative == -1 else f"{name}:{alternative}"

    def moves(self, number):
        """By the word of a schedule: the move."""
        return {self.word(move): move for move in self.states[str(number)][2]}

    def waiting(self, number):
        """Who must wait: (name, what it would do, why, for whom)."""
        texts, names = self.tables["texts"], [context["name"] for context in self.contexts]
        return [
            (names[who], self.position(number, who)["text"], texts[why], tuple(names[other] for other in on))
            for who, why, on in self.states[str(number)][3]
        ]

    def faults(self, number):
        return [(f["kind"], f["message"]) for f in (self.tables["faults"][n] for n in self.states[str(number)][4])]

    def sightings(self, number):
        return [(f["kind"], f["message"]) for f in (self.tables["faults"][n] for n in self.states[str(number)][5])]

    def shown_values(self, number):
        """(name, value) of what setup made."""
        kinds = [piece["kind"] for piece in self.shared]
        made = [i for i, kind in enumerate(kinds) if kind in KINDS_OF_SETUP]
        return [(self.shared[i]["name"], self.value(number, i)) for i in made]

    def changes(self, before, after):
        """(name, before, after) of what setup made, and of interrupts."""
        first, old, new = len(self.contexts), self.fields(before), self.fields(after)
        changed = [i for i, _ in enumerate(self.shared) if old[first + i] != new[first + i]]
        kinds = {*KINDS_OF_SETUP, "interrupt"} - {"heap"}
        told = [i for i in changed if self.shared[i]["kind"] in kinds]
        return tuple((self.shared[i]["name"], self.value(before, i), self.value(after, i)) for i in told)

    def standing(self, number, context):
        """[(function, line)], outermost first; and the listing of the innermost one."""
        places = self.position(number, context).get("places", [])
        listings = self.tables["listings"]
        lines = [tuple(line) for line in listings[places[-1][0]]["lines"]] if places else []
        return [(listings[listing]["function"], line) for listing, line in places], lines

    def lane(self, number, context):
        return self.position(number, context).get("lane", self.contexts[context]["lane"])

    def gives(self, move):
        return None if move[3] == -1 else self.tables["texts"][move[3]]

    def choice_text(self, number, move):
        text = self.position(number, move[0])["text"]
        return text if move[1] == -1 or move[3] == -1 else f"{text} gives {self.gives(move)}"

    def failed(self, move):
        """With what message the step has failed; "" if it has not (the state after it may fail all the same)."""
        return next((message for kind, message in self.faults(move[2]) if kind not in FAILURES_OF_STATES), "")

    def begins_to_wait(self, move):
        """For what, in words; "" if the step does not end in waiting."""
        who, _, after, _ = move
        if "resumed" not in self.position(after, who) or self.failed(move):
            return ""
        return next((self.tables["texts"][why] for c, why, _ in self.states[str(after)][3] if c == who), "waits")

    def lines(self, path):
        """The story of a path [(state, move), ..., (state, None)]."""
        lines, previous = [], None
        for i, (before, move) in enumerate(path[:-1]):
            who, after = move[0], path[i + 1][0]
            context, lane = self.contexts[who], self.lanes[self.lane(before, who)]
            if previous is None or previous[0] != who:
                if previous is not None:
                    lines += self.handover(path[i - 1], previous, before, who)
                where = {"host": " (host)", "cpu": f" ({lane['name']})", "own": ""}[lane["kind"]]
                lines.append(f"{context['name']}{where}:")
            position = self.position(before, who)
            said = "has waited" if "resumed" in position else position["remark"]
            text = (f"{said}: " if said else "") + position["text"]
            gives = self.gives(move)
            text += "" if gives is None else f" gives {gives}"
            waits = self.begins_to_wait(move)
            text += f"; it {waits}" if waits else ""
            changes = ", ".join(f"{name} {old} -> {new}" for name, old, new in self.changes(before, after))
            text += f"   [{changes}]" if changes else ""
            text += f"   FAILS: {self.failed(move)}" if self.failed(move) else ""
            lines.append(f"  {i + 1:>2}  {text}")
            previous = move
        return lines

    def handover(self, earlier, previous, now, who):
        """How control left the one before, if it has more to do and need not wait."""
        was, name = previous[0], self.contexts[previous[0]]["name"]
        then = self.position(now, was).get("next", "")
        if not then or any(stuck == was for stuck, *_ in self.states[str(now)][3]):
            return []
        here, there = self.lane(earlier[0], was), self.lane(now, who)
        how = ""
        if here == there and self.lanes[here]["kind"] != "host":
            arrives = self.contexts[who]["kind"] in ("irq", "ipi")
            how = f"{self.lanes[here]['name']} is interrupted in {name}" if arrives else f"{name} is preempted"
        return [f"      {how} before it {then}" if how else f"      before {name} {then}"]
