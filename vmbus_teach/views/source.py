"""The source of a scenario or of some of its methods, to be read in a notebook."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

from IPython.display import Markdown


def source(*things: Any) -> Markdown:
    """Shows the source of classes or methods, one below the other; raises OSError where there is no file to read."""
    texts = [textwrap.dedent(inspect.getsource(thing)).rstrip() for thing in things]
    return Markdown("```python\n" + "\n\n".join(texts) + "\n```")  # type: ignore[no-untyped-call]
