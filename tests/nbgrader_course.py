"""A course of nbgrader's in an empty folder: hands out one notebook, and grades what two students hand in.

    python nbgrader_course.py SOLUTION.ipynb FOLDER

Prints, as JSON, the points of who hands in the solution and of who hands in the exercise as it was handed out. A
process of its own, since nbgrader brings a database and warnings with it.
"""

import json
import shutil
import sys
from pathlib import Path

from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

from exercises import CONFIG


def points(solution, folder):
    """{student: [points earned, points that can be earned]}."""
    config = Config(CONFIG)
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.course_id = "course"
    config.ExecutePreprocessor.timeout = 120
    config.NbGraderAPI.log_level = "ERROR"
    api = NbGraderAPI(config=config)
    put(solution, folder / "source" / "assignment")
    succeeded(api.generate_assignment("assignment"))
    handed_out = folder / "release" / "assignment" / solution.name
    with api.gradebook as gradebook:
        for student, notebook in {"solver": solution, "idler": handed_out}.items():
            gradebook.update_or_create_student(student)
            put(notebook, folder / "submitted" / student / "assignment")
    found = {}
    for student in ("solver", "idler"):
        succeeded(api.autograde("assignment", student))
        with api.gradebook as gradebook:
            submission = gradebook.find_submission("assignment", student)
            found[student] = [submission.score, submission.max_score]
    return found


def put(notebook, folder):
    """Copies a notebook into a folder that there need not be yet."""
    folder.mkdir(parents=True)
    shutil.copy(notebook, folder)


def succeeded(result):
    """Ends with nbgrader's own words if it did not succeed."""
    if not result["success"]:
        sys.exit(f"{result.get('error')}\n{result.get('log')}")


if __name__ == "__main__":
    print(json.dumps(points(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())))
