#!/bin/sh
# Write constraints.txt anew: install every member and the tools into an empty environment, and pin what came.
set -eu

venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
"${PYTHON:-python3.11}" -m venv "$venv"
members=
for project in libs/*/pyproject.toml gateway/pyproject.toml services/*/pyproject.toml sandbox/pyproject.toml local/pyproject.toml; do
    members="$members --editable ${project%/pyproject.toml}"
done
# shellcheck disable=SC2086 # the list is words on purpose
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check hatchling editables \
    $members --requirement requirements-dev.txt
{
    echo '# The exact version of everything, for every member and for the tools: pip install --constraint constraints.txt'
    echo '# Made by `make constraints`, with the oldest Python that is supported.'
    "$venv/bin/python" -m pip freeze --exclude-editable
} >constraints.txt
