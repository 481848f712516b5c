#!/bin/sh
# Lint, and the tests and every notebook in one pytest run, so that one closing line counts them all.
cd "$(dirname "$0")/.." || exit
PATH=$PWD/.venv/bin:$PATH
export PATH

# Beside the tests, since one of two cores often waits while they begin. Its output comes last, if it has complaints.
mkdir -p build
sh tools/lint.sh >build/lint.log 2>&1 &
linting=$!

echo "Running lint and the tests, then every notebook and exercise: each cell must print again what is stored in it ..."
# A file at a time for each process; tests/conftest.py says in which order. Three of them on the two cores that count: one
# often waits for a browser.
.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder tests notebooks solutions exercises \
    --nbval --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg --nbval-cell-timeout=120
tests=$?

wait $linting
lint=$?
if [ $lint != 0 ]; then
    cat build/lint.log
    echo "ruff or mypy complained: see above, or call 'make lint'."
    exit 1
fi
exit $tests
