#!/bin/sh
# Builds the wheel with the given Python, then runs the unit tests against it outside the source tree, once on each
# Python from 3.11 to 3.13 that this machine has.
set -eu
builder=$1
source=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$builder" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work" "$source"
mkdir "$work/outside"
cp -r "$source/tests" "$source/deploy" "$source/pyproject.toml" "$work/outside"

ran=0
for version in 3.11 3.12 3.13; do
    for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
        "$python" -c "import sys; assert '%d.%d' % sys.version_info[:2] == '$version'" 2>/dev/null || continue
        echo "== unit tests on the wheel, Python $version"
        "$python" -m venv "$work/$version"
        "$work/$version/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
        (
            cd "$work/outside"
            "$work/$version/bin/python" -m pip install --quiet "$work"/*.whl --group dev
            "$work/$version/bin/python" -c "import quota_exporter; assert '$version' in quota_exporter.__file__"
            "$work/$version/bin/python" -m pytest -q tests/unit
        )
        ran=$((ran + 1))
        break
    done
done
[ "$ran" -gt 0 ] || { echo "no Python from 3.11 to 3.13 was found" >&2; exit 1; }
