#!/bin/sh
# Makes sure that .venv holds what `make lab` or `make test` needs.
#
#     sh tools/environment.sh lab      the course
#     sh tools/environment.sh test     the course and the tools that test it
#
# Each of the two leaves a stamp in .venv: the folder's name and a copy of pyproject.toml.  While both
# are still the same there is nothing to do.  (Times of files would be wrong here: Git changes them.)
set -eu
cd "$(dirname "$0")/.."

what=$1
stamp=.venv/installed-for-$what
python=.venv/bin/python

contents_of_stamp() {
    echo "# installed in $PWD"
    cat pyproject.toml
}

fail() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

recent() {          # recent PYTHON: is it one, and 3.11 or newer?
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {     # prints the first suitable Python
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if recent "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    base=$(find_python) || fail "No Python 3.11 or newer was found (looked for: ${PYTHON:-python3, python3.11 … python3.14, python}).
Install one from your system's packages or from python.org. If it has another name: make PYTHON=/path/to/it $what"
    echo "Making a Python environment in .venv with $("$base" --version) (a few seconds) ..."
    if "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        "$base" -m venv --clear .venv
    elif "$base" -c 'import venv' 2>/dev/null && "$base" -m pip --version >/dev/null 2>&1; then
        # Debian's Python without python3-venv: let the system's own pip put a pip into .venv.
        "$base" -m venv --clear --without-pip .venv
        "$base" -m pip --python "$python" install -qq pip ||
            fail "$base could not put pip into .venv. On Debian and Ubuntu 'apt-get install python3-venv' helps. Then run make again."
    else
        fail "$base cannot make an environment: it has neither the module ensurepip nor pip.
On Debian and Ubuntu this helps: apt-get install python3-venv
Then run make again."
    fi
}

if [ -f "$stamp" ] && recent "$python" && contents_of_stamp | cmp -s - "$stamp"; then
    exit 0
fi

if ! recent "$python" || ! "$python" -m pip --version >/dev/null 2>&1; then
    make_venv
fi

case $what in
    lab)
        echo "Installing JupyterLab and the course into .venv (about a minute, 450 MB) ..."
        wanted=. ;;
    test)
        echo "Installing JupyterLab, the course and its test tools into .venv (a few minutes, 900 MB) ..."
        wanted='.[test]' ;;
    *)
        fail "tools/environment.sh takes 'lab' or 'test', not '$what'." ;;
esac

# -qq: errors only.
# -e: the notebooks use the files in vmbus_teach/ themselves, so a change there needs no second install.
# --no-compile: most of what is installed is never imported; Python compiles the rest when it is.
"$python" -m pip install -qq --disable-pip-version-check --no-compile -e "$wanted" ||
    fail "pip could not install what pyproject.toml asks for; its own message is above.
Most often the network, a proxy or a full disk is the cause. Nothing is lost: run make again."

contents_of_stamp > .venv/installed-for-lab
[ "$what" = lab ] || contents_of_stamp > "$stamp"
echo "The environment is ready."
