#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run snp_rmpopt_test with RMPOPT switched on, and leave the knob and the mode
# as they were, however the test ends.

KNOB=/sys/devices/system/cpu/rmpopt
CONTROL=$(cat $KNOB/control 2> /dev/null)

# The harness has processes for each test, which must not outlive the knob.
stop()
{
	while PIDS=$(pidof snp_rmpopt_test); do
		kill -9 $PIDS
		wait
	done
	exit 1
}

case $CONTROL in
on | off)
	MODE=$(cat $KNOB/mode)
	trap 'echo "$MODE" > $KNOB/mode; echo "$CONTROL" > $KNOB/control' EXIT
	echo on > $KNOB/control || exit 4	# KSFT_SKIP
	;;
esac

trap stop HUP INT TERM
"$(dirname "$0")/snp_rmpopt_test" "$@" &
wait $!
