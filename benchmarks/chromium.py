"""A headless Chromium that reaches nobody, for the measurements and for the tests."""

from __future__ import annotations

import shutil
from typing import Any

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves this machine
]  # fmt: skip


def launch(playwright: Any) -> Any:
    """Playwright's browser; ``close`` ends it."""
    return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
