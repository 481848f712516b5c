#!/bin/sh
# Opens JupyterLab on the course's first notebook.  tools/environment.sh has run before.
set -eu
cd "$(dirname "$0")/.."

# The kernel "python3" must be the one of .venv, also where another one is registered for this user.
PATH=$PWD/.venv/bin:$PATH
JUPYTER_PREFER_ENV_PATH=1
export PATH JUPYTER_PREFER_ENV_PATH

page=/lab
for notebook in notebooks/[0-9]*.ipynb; do
    if [ -f "$notebook" ]; then
        page=/lab/tree/$notebook
        break
    fi
done
[ "$page" != /lab ] || echo "There is no notebook in notebooks/ yet; JupyterLab opens on the folder."

set -- --ServerApp.root_dir="$PWD" --LabApp.default_url="$page"

if [ "$(id -u)" = 0 ]; then
    set -- "$@" --allow-root
fi
if [ "$(uname)" != Darwin ] && [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    set -- "$@" --no-browser
    echo "Starting JupyterLab. There is no screen here: open the address printed below in a browser. Ctrl+C stops it."
else
    echo "Starting JupyterLab in your browser. Ctrl+C stops it."
fi
exec .venv/bin/python -m jupyterlab "$@"
