#!/bin/sh
# Makes .venv with the metanas command in it, or finds it made. Run by `make setup`.
#
# PYTHON=name         the Python to use; else python3, else the newest of python3.14 ... python3.11
# TORCH_INDEX=url     the package index to take torch's build (CPU or CUDA) from; else pip's own
# METANAS_MIN_MB=n    the room asked for on the disk, in MB
#
# Runs wherever there is a POSIX shell; ends with one line on stderr and status 1 where it cannot go on.
set -eu
cd "$(dirname "$0")/.."
here=$(pwd -P)  # by whatever links it was come to

venv=.venv
stamp=$venv/.metanas-setup            # what the finished set-up was made from
unfinished=$venv/.metanas-unfinished  # the process that is at it; cut short if it is found dead
log=$venv/.metanas-setup.log
need_mb=${METANAS_MIN_MB:-2500}       # the CPU set takes 1.8 GB, and pip unpacks beside it

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
sum() { cksum | cut -d ' ' -f 1; }

# The version of a Python as "3 11", or nothing where it cannot run.
version_of() { "$1" -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null || true; }
is_new_enough() { [ -n "$1" ] && [ "${1#* }" -ge 11 ] && [ "${1% *}" -ge 3 ]; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python3.14 python3.13 python3.12 python3.11; fi
    for name in "$@"; do
        version=$(version_of "$name")
        if is_new_enough "$version"; then python=$name; return; fi
        [ -z "$version" ] || [ -n "${found:-}" ] || found="$name is Python $(echo "$version" | tr ' ' .)"
    done
    die "${found:-there is no ${PYTHON:-python3} that runs here}, metanas needs Python 3.11 or newer:" \
        "install one, or name it: make setup PYTHON=python3.12"
}

# A number comes again: after a restart, or in the next container, it is another process, this one even.
since() { LC_ALL=C TZ=UTC0 ps -o lstart= -p "$1" 2>/dev/null || sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
note_process() { printf '%s %s\n' $$ "$(since $$ || true)" >"$unfinished"; }
is_at_it() {
    [ -s "$unfinished" ] && read -r pid began_at <"$unfinished" && [ "$pid" != $$ ] &&
        kill -0 "$pid" 2>/dev/null && [ "$began_at" = "$(since "$pid" | sed 's/ *$//; s/^ *//')" ]
}

# --- Is it done already? ----------------------------------------------------------------------------
files=$(cat pyproject.toml constraints.txt scripts/setup.sh | sum)
torch_from=$(printf %s "${TORCH_INDEX:-}" | sum)
stamped() { [ -f "$stamp" ] && sed -n "s/^$1 //p" "$stamp"; }

# A .venv is sound where its Python runs, has pip and, if one was asked for, is of the asked version;
# where nothing was cut short in it, and where it was not moved here from another folder.
is_sound() {
    [ ! -e "$unfinished" ] || return 1
    have=$(version_of $venv/bin/python)
    is_new_enough "$have" && $venv/bin/python -c 'import pip' 2>/dev/null || return 1
    [ -z "${PYTHON:-}" ] || [ "$have" = "$(version_of "$PYTHON")" ] || return 1
    [ ! -f "$stamp" ] || [ "$(stamped root)" = "$here" ]
}

is_done() {
    [ "$(stamped files)" = "$files" ] && [ -x $venv/bin/metanas ] || return 1
    [ -z "${TORCH_INDEX:-}" ] || [ "$(stamped torch)" = "$torch_from" ]
}

[ -z "${PYTHON:-}" ] || find_python
if is_at_it; then
    die "another make is setting up .venv (process $pid): wait for it to end, then make setup again"
fi
sound=no
if is_sound; then
    sound=yes
    if is_done; then
        [ "${1:-}" = --quiet ] || say "already done: .venv/bin/metanas is ready"
        exit 0
    fi
fi

# --- Can it be done? --------------------------------------------------------------------------------
if [ $sound = no ]; then
    find_python
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        die "$python has no venv module: on Debian and Ubuntu \`sudo apt install" \
            "python3-venv\` (or python$(version_of "$python" | tr ' ' .)-venv), then make setup again"
fi
free_mb() { df -Pk . | awk 'NR > 1 { for (i = 1; i <= NF; i++) if ($i ~ /%$/) { print int($(i - 1) / 1024); exit } }'; }
held_mb=$(du -sk $venv 2>/dev/null | awk '{ print int($1 / 1024) }')
[ $(($(free_mb) + ${held_mb:-0})) -ge "$need_mb" ] ||
    die "no room: $(free_mb) MB are free here and the set-up needs $need_mb MB: make room, then make setup again"

# --- Do it ------------------------------------------------------------------------------------------
# The constraints are in force in every pip call, and in the builds that pip starts itself.
export PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

# Keeps what pip says in the log, and shows the names of what it fetches, with the sizes that matter.
show() {
    column=0
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log" || true
        case $line in
            *"Downloading "*.whl* | *"Downloading "*.tar.gz* | *"Using cached "*.whl* | Processing*.whl*)
                case $line in *.metadata*) continue ;; esac
                item=${line#*Downloading } item=${item#*Using cached } item=${item#Processing } item=${item%% (from*}
                size=${item#* } item=${item%% *} item=${item##*/}
                case $size in "("*[MG]B")") item="${item%%-*} $size" ;; *) item=${item%%-*} ;; esac
                ;;
            "Installing collected packages"*)
                if [ $column -gt 0 ]; then printf '\n' && column=0; fi
                say "installing them (a minute or so)"
                continue
                ;;
            *) continue ;;
        esac
        [ $column -gt 0 ] || printf '   '
        printf ' %s' "$item"
        column=$((column + ${#item} + 1))
        if [ $column -gt 80 ]; then printf '\n' && column=0; fi
    done
    if [ $column -gt 0 ]; then printf '\n'; fi
}

pip_failed() {
    unreachable='connection broken|Max retries|ConnectionError|Connection refused|Temporary failure'
    unreachable="$unreachable|SSLError|ProxyError|timed out|40[137] (Client )?Error|50[0-9] Server Error"
    missing=$(sed -n -e 's/.*No matching distribution found for \([^ ;]*\).*/\1/p' \
        -e 's/.*The user requested (constraint) \([^ ;]*\).*/\1/p' "$log" | tail -n 1)
    if grep -qiE 'no space left|errno 28|disk quota' "$log" || [ "$(free_mb)" -lt 50 ]; then
        die "no room: the disk of $PWD, of \$TMPDIR or of pip's cache is full: make room (a CUDA build of torch" \
            "takes about 8 GB, TORCH_INDEX can choose a CPU build), then make setup again"
    elif grep -qE "$unreachable" "$log"; then
        die "pip cannot reach its package index: check the network, HTTPS_PROXY, PIP_INDEX_URL and TORCH_INDEX," \
            "then make setup again (details: $log)"
    elif [ -n "$missing" ]; then
        die "pip finds no $missing for Python $(version_of $venv/bin/python | tr ' ' .) on $(uname -sm): there is one for" \
            "Python 3.11 to 3.14, on Linux and on Apple silicon with macOS 14: make setup PYTHON=..., or another" \
            "TORCH_INDEX if you gave one (details: $log)"
    fi
    die "pip failed: $(grep -iE '^ *error' "$log" | tail -n 1 | cut -c 1-200) (details: $log)"
}

pip_install() {
    { status=0; $venv/bin/python -m pip install "$@" || status=$?; echo $status >"$log.status"; } 2>&1 | show
    status=$(cat "$log.status")
    rm -f "$log.status"
    [ "$status" != 0 ] || return 0
    # Nothing was touched yet: what was there before is still sound.
    grep -q '^Installing collected packages' "$log" || rm -f "$unfinished"
    pip_failed
}

began=$(date +%s)
if [ $sound = no ]; then
    [ ! -e "$unfinished" ] || say "the last set-up was cut short: starting it afresh"
    # the one behind it, where it is that of the .venv which is removed now
    python=$("$python" -c 'import sys; print(getattr(sys, "_base_executable", None) or sys.executable)')
    rm -rf $venv
    mkdir $venv
    note_process
    say "making .venv with $python (Python $(version_of "$python" | tr ' ' .))"
    "$python" -m venv $venv >"$log" 2>&1 || die "$python could not make .venv (details: $log)"
fi
old_torch=$(stamped torch || true)
note_process
: >"$log"
rm -f "$stamp"

if [ $sound = yes ]; then
    say "bringing .venv up to date"
else
    say "fetching about 0.4 GB, or 3 GB where torch comes with CUDA (Linux's default; TORCH_INDEX=<url> chooses):"
fi
if [ -n "${TORCH_INDEX:-}" ]; then
    # Without its dependencies: such an index seldom has them at the versions that constraints.txt asks for.
    [ "$old_torch" = "$torch_from" ] && again= || again=--force-reinstall
    pip_install --no-deps $again --index-url "$TORCH_INDEX" torch
    pip_install --extra-index-url "$TORCH_INDEX" --editable '.[dev,dashboard]'
    old_torch=$torch_from
else
    pip_install --editable '.[dev,dashboard]'
fi
printf 'files %s\ntorch %s\nroot %s\n' "$files" "$old_torch" "$here" >"$stamp"
rm -f "$unfinished"
say "done in $(($(date +%s) - began)) s: .venv/bin/metanas is ready"
