# SPDX-License-Identifier: GPL-2.0-only
# The two source trees: their names and what must hold for them.

# names linux|qemu: set tree, series, ours, title
names()
{
	tree=$build/$1
	case $1 in
	linux) series=$top/series ours=$top title="Linux $linux_release" ;;
	qemu) series=$top/emulator/edits ours=$top/emulator title="QEMU $qemu_release" ;;
	*) die "there are the trees linux and qemu, no '$1'" ;;
	esac
}

check_release()
{
	local is

	case $name in
	linux) is=$(sed -n 's/^VERSION = //p;s/^PATCHLEVEL = //p' "$1/Makefile" 2>/dev/null | paste -sd. || :) ;;
	qemu) is=$(sed -n 's/^\([0-9]*\.[0-9]*\).*/\1/p' "$1/VERSION" 2>/dev/null || :) ;;
	esac
	[ "$title" = "${title% *} $is" ] ||
		die "$1 is ${is:+${title% *} }${is:-no ${title% *} source}, not $title: give the top of a $title tree, or none to have it fetched"
}

# What the repository has for this tree, as a checksum
repository_key()
{
	{
		cat "$series"/*/*
		cat "$series"/*/files | sed "s|^|$ours/|" | xargs -d '\n' cat
	} 2>/dev/null | sha256sum
}

# What git does not hold.  Linux's own .gitignore hides new files in places, so
# ignored ones count, but for what the build and Python leave.
changes()
{
	git -C "$tree" status --porcelain --ignored | grep -vE '^!! out[^/]*/$|__pycache__/$' || :
}

clean_or_die()
{
	[ -f "$tree/.git/pristine" ] || return 0
	if [ -n "$(changes)" ] || [ -n "$(git -C "$tree" stash list)" ] ||
	   [ "$(git -C "$tree" rev-parse HEAD)" != "$(cat "$tree/.git/laid" 2>/dev/null)" ]; then
		die "$tree holds work that is not in the repository: commit it there and 'make save', or 'git -C $tree checkout -f --detach $(cat "$tree/.git/laid" 2>/dev/null)'"
	fi
}
