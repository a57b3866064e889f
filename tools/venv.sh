#!/bin/sh
# Make or bring up to date a virtual environment with this checkout installed in it, editable.
#   venv.sh VENV EXTRAS        EXTRAS: "" or "dev" or "dev,docs"
set -eu
venv=$1 extras=$2
cd "$(dirname "$0")/.."

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
can_make_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

find_python() {
    for python in python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3; do
        if new_enough "$python"; then
            echo "$python"
            return
        fi
    done
    echo "twistedmilter needs Python 3.11 or later; none is in PATH" >&2
    return 1
}

if ! [ -x "$venv/bin/python" ]; then
    python=$(find_python)
    can_make_venv "$python" || sh tools/debian.sh venv
    "$python" -m venv "$venv"
fi
# One line when all is well; everything when it is not.
if ! log=$("$venv/bin/python" -m pip install --disable-pip-version-check --no-input -e ".${extras:+[$extras]}" 2>&1); then
    echo "$log" >&2
    echo "pip could not install twistedmilter${extras:+[$extras]} into $venv" >&2
    exit 1
fi
echo "$venv: twistedmilter${extras:+[$extras]} is installed, editable"
