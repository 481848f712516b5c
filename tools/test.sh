#!/bin/sh
# Lint, then the tests and every notebook in one pytest run, so that one closing line counts them all.
cd "$(dirname "$0")/.." || exit
PATH=$PWD/.venv/bin:$PATH
export PATH

lint=0
sh tools/lint.sh || lint=1

echo "Running the tests, then every notebook and exercise: each cell must print again what is stored in it ..."
# A file at a time for each process; tests/conftest.py says in which order. Three of them on the two cores that count: one
# often waits for a browser.
.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder tests notebooks solutions exercises \
    --nbval --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg --nbval-cell-timeout=120
tests=$?

if [ $lint != 0 ]; then
    echo "ruff or mypy complained: see the top of this output, or call 'make lint'."
    exit 1
fi
exit $tests
