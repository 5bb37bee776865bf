# shellcheck shell=bash
# shellcheck disable=SC2034  # for those who source it
# Where things lie, and the few verbs that every script here uses. Sourced, never run.
#
# Three places: the cache (built once a version, kept, shared by all checkouts of a user), the run folder (one machine's
# own dockerd) and the state of this checkout. Deleting the cache costs minutes, deleting the state after `down` nothing.

# shellcheck source=versions.sh
. "$(dirname "${BASH_SOURCE[0]}")/versions.sh"

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/dspy-service
RUN=${DSPY_SERVICE_RUN:-/run/dspy-service}
STATE=$PROJECT/.cluster
# What went wrong is exported to here.
LOGS=${LOGS:-$STATE/logs}
# kubectl, kind and helm where the machine has none.
TOOLS=$CACHE/bin

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# Exit code for "this machine cannot do it", as automake has it: CI prints the reason and skips.
cannot() {
    say "cannot: $*"
    if [ -n "${REASON:-}" ]; then echo "$*" >"$REASON"; fi
    exit 77
}

need_root() { [ "$(id -u)" = 0 ] || cannot "$1 needs root"; }

# One builder at a time a name: several checkouts share the cache. Held until the shell that called ends; what outlives
# it (a daemon) is started with `9>&-`.
hold() {
    mkdir -p "$CACHE/locks"
    exec 9>"$CACHE/locks/$1"
    flock -n 9 || {
        say "waiting for another checkout's $1"
        flock -w "${2:-1800}" 9 || die "no turn for $1 within ${2:-1800} s"
    }
}

# wait_until SECONDS COMMAND...: succeeds as soon as the command does.
wait_until() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.2
    done
}

# end PID NAME SECONDS: asks a process that we started to end, and insists after a while. Its pid may be of another by
# now, which is why its name (the kernel keeps 15 letters of it) is asked for.
end() {
    local pid=$1 name=$2 seconds=${3:-20}
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "${name:0:15}" ] || return 0
    kill "$pid"
    wait_until "$seconds" gone "$pid" || kill -9 "$pid"
    wait_until 5 gone "$pid"
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# install_packages PACKAGE=COMMAND...: by apt what is not there.
install_packages() {
    local missing=() pair
    for pair in "$@"; do
        [ -e "${pair#*=}" ] || command -v "${pair#*=}" >/dev/null 2>&1 || missing+=("${pair%%=*}")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null 2>&1 || cannot "no apt-get to install ${missing[*]}"
    need_root "installing ${missing[*]}"
    say "installing ${missing[*]}"
    local apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    { "${apt[@]}" update && DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends \
        "${missing[@]}"; } >"$CACHE/apt.log" 2>&1 || cannot "apt could not install ${missing[*]}: $CACHE/apt.log"
}

# Not `eval "$(cluster/docker env)"`, which hides a failure.
use_docker() {
    local environment
    environment=$("$PROJECT/cluster/docker" env)
    eval "$environment"
}

mkdir -p "$CACHE" "$TOOLS"
