#!/bin/sh
# The reference of the configuration, and of the code.
#   docs.sh VENV
set -eu
venv=$1
cd "$(dirname "$0")/.."
"$venv/bin/python" tools/config_reference.py >docs/configuration.md.new
mv docs/configuration.md.new docs/configuration.md
"$venv/bin/pydoctor" --quiet --docformat=epytext --project-name=twistedmilter --html-output=build/docs/api \
    --intersphinx-file=/dev/null twistedmilter 2>/dev/null ||
    "$venv/bin/pydoctor" --quiet --docformat=epytext --project-name=twistedmilter --html-output=build/docs/api twistedmilter
echo "docs/configuration.md, build/docs/api/index.html"
