"""A part of the package may import those on its left in the line of docs/design.md, never one on its right."""

import ast

from places import ROOT

PACKAGE = ROOT / "vmbus_teach"


def ranks():
    """From the line in docs/design.md: how far to the right each part stands."""
    text = (ROOT / "docs" / "design.md").read_text()
    [line] = [line.strip() for line in text.splitlines() if line.strip().startswith("kernel <- ")]
    return {part: rank for rank, parts in enumerate(line.split(" <- ")) for part in parts.split(", ")}


def imported(source, package):
    """The parts that a module's source imports; a part is what comes first after `vmbus_teach.`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            whole = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ["vmbus_teach", *package][: len(package) + 2 - node.level] if node.level else []
            whole = [[*above, *filter(None, [node.module]), alias.name] for alias in node.names]
            whole = [".".join(names).split(".") for names in whole]
        else:
            continue
        yield from (names[1] for names in whole if names[0] == "vmbus_teach")


def import_graph():
    """{part: the parts that it imports}."""
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        names = path.relative_to(PACKAGE).with_suffix("").parts
        graph.setdefault(names[0], set()).update(imported(path.read_text(), names[:-1]))
    return {part: found - {part} for part, found in graph.items()}


def reached(graph, part):
    """All that a part imports, also by way of others."""
    found, ahead = set(), [part]
    while ahead:
        new = graph.get(ahead.pop(), set()) - found
        found |= new
        ahead += new
    return found


def violations(graph):
    """One sentence for every import that goes to the right."""
    rank = ranks()
    return [
        f"{part} imports {other}, which stands on its right"
        for part in rank for other in sorted(reached(graph, part)) if rank.get(other, -1) > rank[part]
    ]


def test_every_import_goes_to_the_left():
    """No part imports one on its right, not even by way of others; the line names only parts that there are."""
    graph = import_graph()
    assert set(ranks()) <= set(graph)
    assert violations(graph) == []


def test_the_kernel_imports_nothing_else():
    """The operations know nothing of the engine; views may know everything."""
    graph = import_graph()
    assert graph["kernel"] == set()
    assert {"document", "explore", "session"} <= graph["views"]


def test_an_import_to_the_right_is_noticed():
    """However it is written, and also where it goes by way of a part that the line does not name."""
    for source in ("from ..views import page", "from .. import views", "import vmbus_teach.views.page",
                   "def late():\n    from vmbus_teach import views"):  # fmt: skip
        assert list(imported(source, ["kernel"])) == ["views"]
    graph = import_graph()
    graph["values"] = graph["values"] | {"explore"}
    assert "scenario imports explore, which stands on its right" in violations(graph)
    assert list(imported("from .page import write_page", ["views"])) == ["views"]
    assert list(imported("import ast, json", [])) == []
