#!/bin/sh
# The reference of the configuration, and of the code.
#   docs.sh VENV
set -eu
venv=$1
cd "$(dirname "$0")/.."
"$venv/bin/python" tools/config_reference.py >docs/configuration.md.new
mv docs/configuration.md.new docs/configuration.md
# 2: pages were made, some docstring is not epytext (click's commands are written for --help)
"$venv/bin/pydoctor" -qq --docformat=epytext --project-name=twistedmilter --html-output=build/docs/api twistedmilter ||
    [ $? = 2 ]
echo "docs/configuration.md, build/docs/api/index.html"
