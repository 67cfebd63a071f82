# Sourced by the launchers: sets $root, and $python to the Python of Songlo's environment, made first when missing.
# Plain sh, and no process where one can be saved: every command starts here.

root=$(readlink -f -- "$0") || exit 1
root=${root%/infra/*}
[ -n "${HOME:-}" ] || { HOME=$(eval echo "~$(id -un)"); export HOME; }

# nothing of the caller's own Python reaches ours
unset PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV
PYTHONPATH=$root
export PYTHONPATH

fail() {
    echo "songlo: $*" >&2
    exit 1
}

# the newest Python of the PATH that Songlo runs on
base_python() {
    for name in python3.13 python3.12 python3.11 python3 python; do
        command -v "$name" >/dev/null 2>&1 || continue
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    fail "Python 3.11, 3.12 or 3.13 is missing; on Debian type: apt-get install python3"
}

# the stamp holds the path of an environment's Python; its name is the hash of what set-up makes: the environment of
# the lock file, and the compiled fold, which is made anew when its source has changed
case ${SONGLO_CACHE:-} in
    '') stamp=${XDG_CACHE_HOME:-$HOME/.cache}/songlo ;;
    *) stamp=$SONGLO_CACHE ;;
esac
stamp=$stamp/launch/$(cat "$root/requirements.lock" "$root/streams/native/build.py" "$root/streams/native/c/"* |
    sha256sum | cut -c1-16)
python=
[ -r "$stamp" ] && read -r python <"$stamp"
if [ -z "$python" ] || ! [ -x "$python" ] || ! [ -e "${python%/bin/python}/.complete" ]; then
    base=$(base_python) || exit 1
    python=$("$base" -P -m infra.setup --stamp "$stamp") || exit 1
fi
