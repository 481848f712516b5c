"""Writes docs/map.md: what the course's texts claim, and what a search says of it. `make map`."""

from __future__ import annotations

from pathlib import Path

from vmbus_teach.views import course_map

PAGE = Path(__file__).resolve().parent.parent / "docs" / "map.md"

HEAD = """\
# The map

The course began with five texts from public mailing lists. This page lists what they claim about behaviour, in our
words, and the scenarios that show it, each with its verdict over every interleaving. A verdict is the scenario's, not
the claim's: where a text says that something cannot happen, the scenario that fails is the answer.

`make map` searches all of it and writes this page; milliseconds are those of the machine on which that was done.
The catalogue has many more scenarios, mutations above all; each chapter introduces its own.

"""


def page() -> str:
    """The page, searched anew."""
    return HEAD + course_map().markdown()


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(PAGE.parent.parent)}: written")
