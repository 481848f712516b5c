#!/bin/sh
# Lint, then the tests and every notebook in one pytest run, so that one closing line counts them all.
cd "$(dirname "$0")/.." || exit
PATH=$PWD/.venv/bin:$PATH
export PATH

lint=0
sh tools/lint.sh || lint=1

set -- tests
if ls notebooks/*.ipynb >/dev/null 2>&1; then
    echo "Running the tests, then every notebook: each cell must print again what is stored in it ..."
    set -- "$@" --nbval --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg --nbval-cell-timeout=120 notebooks
else
    echo "Running the tests. (There is no notebook in notebooks/ yet, so none is checked.)"
fi
.venv/bin/python -m pytest "$@"
tests=$?

if [ $lint != 0 ]; then
    echo "ruff or mypy complained: see the top of this output, or call 'make lint'."
    exit 1
fi
exit $tests
