#!/bin/sh
# Make .venv ready: `sh local/venv.sh run` for the mesh, `sh local/venv.sh dev` for tests and checks as well.
# Does nothing when nothing changed since the last time. PYTHON=... chooses the interpreter, VENV=... the folder.
set -eu

what=${1:-run}
venv=${VENV:-.venv}

fail() {
    printf 'cannot run: %s\n' "$*" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    # A name on the PATH may be a shim with nothing behind it, so each candidate is run.
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    found=$("${PYTHON:-python3}" --version 2>&1) || found="no Python"
    fail "Python 3.11 or newer is needed and this machine has $found: install python3.11 (or newer) with its venv module" \
        "(Debian, Ubuntu: sudo apt-get install python3.11 python3.11-venv), or name one: PYTHON=/path/to/python3 make run"
}

# What the installation depends on; the folder too, because the members are installed in place.
fingerprint() {
    {
        pwd
        "$venv/bin/python" --version
        find libs gateway services sandbox local -maxdepth 2 -name pyproject.toml 2>/dev/null | LC_ALL=C sort
        cat pyproject.toml constraints.txt requirements-dev.txt libs/*/pyproject.toml \
            gateway/pyproject.toml services/*/pyproject.toml sandbox/pyproject.toml local/pyproject.toml 2>/dev/null || :
    } | cksum
}

install() {
    set -- --quiet --disable-pip-version-check --no-input "$@"
    [ ! -f constraints.txt ] || set -- --constraint constraints.txt "$@"
    "$venv/bin/python" -m pip install "$@" >"$venv/install.log" 2>&1 || {
        tail -n 25 "$venv/install.log" >&2
        fail "the installation failed (all of it in $venv/install.log): is there a network, and does pip find its index?"
    }
}

if ! new_enough "$venv/bin/python"; then
    python=$(find_python)
    "$python" -c 'import venv, ensurepip' >/dev/null 2>&1 || {
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        fail "$python has no venv or no ensurepip: install them (Debian, Ubuntu: sudo apt-get install python$version-venv)"
    }
    echo "making $venv with $("$python" --version)"
    if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ]; then
        fail "$venv is there and no virtual environment: move it away, or name another folder: VENV=.venv2 make run"
    fi
    "$python" -m venv --clear "$venv" || fail "$venv cannot be made (see above)"
fi

# The stamp of `dev` serves `run` as well.
now=$(fingerprint)
for stamp in "$venv/.installed-dev" "$venv/.installed-$what"; do
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ]; then
        exit 0
    fi
done

echo "installing into $venv, about a minute the first time"
members=
for project in libs/*/pyproject.toml gateway/pyproject.toml services/*/pyproject.toml sandbox/pyproject.toml local/pyproject.toml; do
    [ ! -f "$project" ] || members="$members --editable ${project%/pyproject.toml}"
done
tools=
[ "$what" = run ] || tools="--requirement requirements-dev.txt"
rm -f "$venv"/.installed-*
# The build backend once, not in an environment of its own for every member.
install 'hatchling>=1.27' 'editables>=0.5'
# shellcheck disable=SC2086 # the lists are words on purpose
install --no-build-isolation $members $tools
echo "$now" >"$venv/.installed-$what"
