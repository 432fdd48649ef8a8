#!/usr/bin/env bash
# Installs rlvr the two ways people do, as a wheel and as an editable checkout, each with the light core alone in an
# environment of its own, and uses it from a folder whose `envs/` and `rewards/` would win if our names were not prefixed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make_decoys() {
    for name in envs rewards configs; do
        mkdir -p "$work/elsewhere/$name"
        echo "raise ImportError('the decoy $name/ was imported')" >"$work/elsewhere/$name/__init__.py"
    done
}

install() { # install NAME WHAT…: a fresh environment that holds WHAT, at the versions that we pin
    "$repo/.venv/bin/python" -m venv "$work/$1"
    # A constraint, so that only what the core asks for comes with it.
    "$work/$1/bin/python" -m pip install --quiet --constraint "$repo/requirements/cpu.txt" "${@:2}"
}

use() { # use NAME: everything that a light core can do, from among the decoys
    cd "$work/elsewhere"
    "$work/$1/bin/python" - "$1" <"$here/use.py"
    PATH="$work/$1/bin:$PATH" bash "$here/use.sh" "$work/$1.out"
    echo "packaging: $1 works"
}

make_decoys
"$repo/.venv/bin/python" -m build --wheel --outdir "$work/dist" "$repo" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
install wheel "$work"/dist/rlvr-*.whl
install editable --editable "$repo"
use wheel
use editable
