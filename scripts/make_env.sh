#!/bin/sh
# Make the environment: every package as requirements.lock has it, checked against its hash, then this
# project itself, editable. Called by `make env` with the Python to use and the folder to make.
set -eu
python=$1
venv=$2

fail() {
    echo "error: $*" >&2
    exit 2
}

command -v git >/dev/null || fail "git is not installed."
command -v "$python" >/dev/null || fail "there is no $python: install Python 3.11 or newer, or say where it is: make env PYTHON=/path/to/python3.11"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is $("$python" -V 2>&1), but Python 3.11 or newer is needed: make env PYTHON=python3.11"

# A shim named uv may exist that runs nothing; only one that answers counts.
if uv --version >/dev/null 2>&1; then
    uv=uv
    [ -x "$venv/bin/python" ] || UV_PYTHON_DOWNLOADS=never uv venv -q --python "$python" "$venv"
else
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv" >/dev/null ||
        fail "$python cannot make virtual environments: install its venv module (Debian: apt install python3-venv)."
    [ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install -q --disable-pip-version-check uv ||
        fail "uv could not be installed: is there a network?"
    uv=$venv/bin/uv
fi

echo "Installing the packages of requirements.lock (6 GB, mostly torch) ..."
"$uv" pip install -q --python "$venv/bin/python" --require-hashes -r requirements.lock ||
    fail "the packages could not be installed: see above. Run the same command again to go on."
"$uv" pip install -q --python "$venv/bin/python" --no-deps --no-build-isolation -e .
