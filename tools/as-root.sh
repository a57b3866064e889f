#!/bin/sh
# Run a command as root where that can be had (Postfix's master and network namespaces need it), else as we are.
#   as-root.sh COMMAND [ARGUMENTS...]
set -u
if [ "$(id -u)" = 0 ] || ! sudo -n true 2>/dev/null; then
    exec "$@"
fi
sudo -n env PYTHONDONTWRITEBYTECODE=1 ${CI:+CI="$CI"} PATH="$PATH" HOME="${HOME:-/}" "$@"
status=$?
# What the tests left must not be in the way of the next run as ourselves.
for left in _trial_temp* .hypothesis .mypy_cache .ruff_cache build; do
    if [ -e "$left" ]; then sudo -n chown -R "$(id -u):$(id -g)" "$left"; fi
done
exit $status
