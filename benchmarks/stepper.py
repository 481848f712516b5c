"""The stepper: what it ships, how long it takes to begin, and how soon a click is painted."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from vmbus_teach import Scenario, Stepper
from vmbus_teach.scenarios import catalogue
from vmbus_teach.scenarios.classics import Increments
from vmbus_teach.scenarios.retarget import PerCpuLists
from vmbus_teach.views.page import write_page

from .chromium import launch
from .large import LONG_SCHEDULE, Endless, LongListing, TwentyCpus
from .table import milliseconds, table

SHIPPED = ("scenario", "in the page", "states", "kB", "start-up, ms")
CLICKS = ("page", "kB", "drawn, ms", "painted, ms", "90 % within, ms")

#: Clicks the first step that is possible, else Undo, and takes the time until the browser has painted.
CLICK = """async (clicks) => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => {
    const after = new MessageChannel(); after.port1.onmessage = done; after.port2.postMessage(0); }));
  const times = [], stepper = document.querySelector(".vt").stepper;
  for (let i = 0; i < clicks; i++) {
    const steps = document.querySelectorAll(".vt-step:not([aria-disabled])");
    const button = steps[i % steps.length] ?? document.querySelector("[title='Take the last step back']");
    const start = performance.now();
    button.click();
    await stepper.turn;
    const drawn = performance.now() - start;
    await painted();
    times.push([drawn, performance.now() - start]);
    await new Promise((next) => setTimeout(next, 50));
  }
  return times;
}"""


def shipped(repeats: int, chapters: tuple[str, ...] = ()) -> str:
    """What a stepper sends to the page, and what it takes to make it; of all chapters, if none is named."""
    scenarios: list[Scenario] = [entry.make() for entry in catalogue() if not chapters or entry.chapter in chapters]
    scenarios += [TwentyCpus(), Increments(threads=3, times=2), Increments(threads=3, times=3), LongListing()]
    rows = []
    for scenario in scenarios:
        times = []
        for _ in range(repeats):
            start = perf_counter()
            stepper = Stepper(type(scenario)(**scenario._parameters))
            times.append(perf_counter() - start)
        document = stepper.documents[0]
        size = len(json.dumps(document, separators=(",", ":"))) / 1000
        whole = "all" if document["complete"] else "in part"
        rows.append((str(scenario), whole, f"{len(document['states']):,}", f"{size:.0f}", milliseconds(median(times))))
    return table(SHIPPED, rows, left=2)


def clicks(number: int) -> str:
    """From a click in a page to the changed page, in a headless Chromium."""
    if importlib.util.find_spec("playwright") is None or shutil.which("chromium") is None:
        return "not measured: it takes chromium and the package playwright"
    from playwright.sync_api import sync_playwright

    pages = [(Increments, ""), (PerCpuLists, ""), (TwentyCpus, ""), (LongListing, ""), (Endless, LONG_SCHEDULE)]
    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        browser = launch(play)
        for scenario, schedule in pages:
            path = write_page(scenario, Path(folder, f"{scenario.__name__}.html"), schedule=schedule)
            tab = browser.new_page(viewport={"width": 1200, "height": 900})
            tab.goto(path.as_uri())
            tab.wait_for_selector(".vt-lane")
            drawn, painted = (sorted(times) for times in zip(*tab.evaluate(CLICK, number), strict=True))
            spent = (median(drawn), median(painted), painted[int(0.9 * number)])
            size = f"{path.stat().st_size / 1000:.0f}"
            rows.append((scenario.__name__, size, *(milliseconds(time / 1000) for time in spent)))
        browser.close()
    return table(CLICKS, rows)
