# SPDX-License-Identifier: GPL-2.0-only
# Shared by the bench's shell scripts: where things are, steps with progress,
# and errors that say what to do.

set -euo pipefail
umask 022

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$top/build
logs=$build/log
cache=${RMPOPT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rmpopt}
tools=$cache/tools			# Debian packages, unpacked and not installed
jobs=$(nproc)

linux_release=7.3
qemu_release=10.0

# The private apt root needs no privilege and leaves the machine's sources alone.
export APT_CONFIG=
# A Python or a build setting of the caller's must not leak into what we build.
unset PYTHONPATH MAKEFLAGS MAKELEVEL MFLAGS KBUILD_OUTPUT ARCH CROSS_COMPILE
export LC_ALL=C.UTF-8
export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1
export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-4G}

die()
{
	printf 'rmpopt: %s\n' "$*" >&2
	exit 1
}

elapsed()
{
	printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# step NAME COMMAND...: run a long command with its output in a log, show that
# it is alive, and on failure say which step, which log, its last lines and
# $hint.  Not to be called under if, || or !: set -e would be off in it.
hint=
step()
{
	local this=$1 log=$logs/$1.log start=$SECONDS pid rc=0 shown=0 now
	shift

	mkdir -p "$logs"
	"$@" > "$log" 2>&1 < /dev/null &
	pid=$!
	trap 'kill "$pid" 2>/dev/null || :' INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		now=$((SECONDS - start))
		if [ -t 1 ]; then
			printf '\r\033[K%-10s %6s  %.*s' "$this" "$(elapsed $now)" 58 \
				"$(tail -n 1 "$log" | tr -d '\r\033' | cut -c -58)"
		elif [ $now -ge $((shown + 30)) ]; then
			shown=$now
			printf '%-10s %6s  %s\n' "$this" "$(elapsed $now)" \
				"$(tail -n 1 "$log" | cut -c -58)"
		fi
		wait_a_second "$pid"
	done
	wait "$pid" || rc=$?
	trap - INT TERM
	[ ! -t 1 ] || printf '\r\033[K'
	if [ $rc -ne 0 ]; then
		printf '%-10s %6s  FAILED\n' "$this" "$(elapsed $((SECONDS - start)))"
		tail -n "${RMPOPT_LOG_LINES:-20}" "$log" | sed 's/^/    /' >&2
		df -Pm "$build" "$cache" 2>/dev/null | awk 'NR > 1 && $4 < 64 {
			print "rmpopt: the disk is full at " $6 ": free some space and run it again"; exit }' >&2
		printf 'rmpopt: step %s failed (status %d); the whole log is %s\n' \
			"$this" $rc "$log" >&2
		[ -z "$hint" ] || printf 'rmpopt: %s\n' "$hint" >&2
		exit 1
	fi
	[ $((SECONDS - start)) -lt 2 ] ||
		printf '%-10s %6s  done\n' "$this" "$(elapsed $((SECONDS - start)))"
}

# Wait for a process for at most a second: the pace of the progress line.
wait_a_second()
{
	timeout 1 tail --pid="$1" -s 0.1 -f /dev/null || :
}

need_mib()
{
	local dir=$1 want=$2 free

	mkdir -p "$dir" || die "cannot create $dir: choose another place with RMPOPT_CACHE=/path"
	free=$(df -Pm "$dir" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$want" ] ||
		die "$dir has $free MiB free, $want MiB are wanted: free some space, or set RMPOPT_CACHE=/path on a larger disk"
}

# same FILE TEXT: the file holds just this text (a stamp of what was built from)
same()
{
	[ -f "$1" ] && [ "$(cat "$1")" = "$2" ]
}
