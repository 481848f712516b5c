"""Where things lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYODIDE = ROOT / ".node" / "node_modules" / "pyodide"
AXE = ROOT / ".node" / "node_modules" / "axe-core" / "axe.min.js"
