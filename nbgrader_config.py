"""What nbgrader makes of the solutions, here (`make exercises`) and in a teacher's own course folder.

The stub must be no statement, so that a class keeps its doc string and a cell its other lines.
"""

c = get_config()  # noqa: F821  (nbgrader's loader defines it)
c.ClearSolutions.code_stub = {"python": "# your answer goes here"}
c.ClearSolutions.text_stub = "Your answer goes here."
