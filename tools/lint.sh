#!/bin/sh
# Style and types.  Both are always run, so that one call shows everything there is to mend.
cd "$(dirname "$0")/.." || exit
status=0
echo "Checking style (ruff) ..."
.venv/bin/python -m ruff check --quiet --output-format=concise . || status=1
echo "Checking types (mypy) ..."
.venv/bin/python -m mypy --no-error-summary || status=1
exit $status
