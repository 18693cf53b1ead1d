# Sourced by the scripts next to it, from the root of the project.
#
# venv run|test|dev|bench: create .venv if it is missing, and install batchq into it, editable, with the packages
# for running, testing, checking or benchmarking it. This is repeated only when pyproject.toml or the path of the project
# has changed: a stamp in .venv records what was installed, so a second call costs nothing and needs no network. Of two
# scripts that begin at the same time one waits until the other has set it up, where there is flock(1).

# An index may be slow or busy: by default pip waits 15 s for it.
export PIP_DEFAULT_TIMEOUT="${PIP_DEFAULT_TIMEOUT:-60}" PIP_RETRIES="${PIP_RETRIES:-10}"

venv() {
    if is_ready "$1"; then
        return
    fi
    if command -v flock >/dev/null; then
        (
            flock 9
            is_ready "$1" || set_up "$1"
        ) 9<pyproject.toml
    else
        set_up "$1"
    fi
}

is_ready() {
    .venv/bin/python -c '' 2>/dev/null && [ "$(cat ".venv/ready-$1" 2>/dev/null)" = "$(wanted)" ]
}

wanted() {
    pwd && cat pyproject.toml
}

set_up() {
    case $1 in
    run) package=. covers=run ;;
    test) package='.[test]' covers='run test' ;;
    dev) package='.[dev]' covers='run test dev' ;;
    bench) package='.[bench]' covers='run bench' ;;
    esac
    state=$(wanted)
    base=$(newest_enough)
    echo "setting up .venv with $base ..." >&2
    if ! .venv/bin/python -c '' 2>/dev/null; then
        # Debian may lack ensurepip: then the system's pip installs into a .venv without its own.
        "$base" -m venv --clear .venv >/dev/null 2>&1 || "$base" -m venv --clear --without-pip .venv
    fi
    if .venv/bin/python -m pip --version >/dev/null 2>&1; then
        .venv/bin/python -m pip --disable-pip-version-check install --quiet --editable "$package"
    else
        "$base" -m pip --disable-pip-version-check --python .venv/bin/python install --quiet --editable "$package"
    fi
    for stamp in $covers; do
        printf '%s\n' "$state" >".venv/ready-$stamp"
    done
}

newest_enough() {
    for name in python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    echo "batchq needs Python 3.11 or newer: none of python3, python3.13, python3.12, python3.11 on the PATH is one" >&2
    return 1
}
