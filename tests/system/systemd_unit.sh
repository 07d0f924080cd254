#!/bin/bash
# The installed units: nothing that systemd would warn of, and hardly anything that the node could do beyond its job.
# Needs no running systemd. BUILD=… names the build folder, as for make.
set -euo pipefail
cd "$(dirname "$0")/../.."

most_exposure=2.0
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

fail() {
  echo "not ok $1" >&2
  exit 1
}

make --silent install DESTDIR="$root" PREFIX=/usr ${BUILD:+BUILD="$BUILD"} > "$root/install.log" 2>&1 ||
  { cat "$root/install.log" >&2; fail "make install"; }
unit=$root/usr/lib/systemd/system/tiercast@.service
socket=$root/usr/lib/systemd/system/tiercast@.socket
for file in "$unit" "$socket"; do
  [ -f "$file" ] || fail "make install leaves no ${file##*/}"
  ! grep -q '@PREFIX@' "$file" || fail "${file##*/} still holds a placeholder"
done
echo "ok make install puts the units and the program in place"

# What the examples need is what the socket unit has: only another configuration needs a drop-in.
for example in config/examples/*.toml; do
  needs=$("$root/usr/bin/tiercast" check -c "$example" --print-socket-unit) || fail "$example: no socket unit"
  [ "$(grep '^ListenDatagram=.' <<< "$needs")" = "$(grep '^ListenDatagram=' "$socket")" ] ||
    fail "$example needs other sockets than the unit has"
done
echo "ok the socket unit is what the examples need"

# The targets that the unit is ordered by, and what it reloads with, are the system's own.
cp -a /usr/lib/systemd/system/*.target "$root/usr/lib/systemd/system/"
install -D -m 0755 /bin/kill "$root/bin/kill"
# An unknown key is but a warning, with exit status 0: silence is what must be.
complaints=$(systemd-analyze verify --root="$root" tiercast@edge.service tiercast@edge.socket 2>&1) ||
  fail "systemd-analyze verify: $complaints"
[ -z "$complaints" ] || fail "systemd-analyze verify: $complaints"
echo "ok systemd-analyze verify has nothing to say"

report=$(systemd-analyze security --offline=true --no-pager --root="$root" tiercast@edge.service 2>&1) ||
  fail "systemd-analyze security: $report"
exposure=$(sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\) .*/\1/p' <<< "$report")
[ -n "$exposure" ] || fail "systemd-analyze security tells no exposure: $report"
awk -v is="$exposure" -v most="$most_exposure" 'BEGIN { exit !(is <= most) }' ||
  fail "exposure $exposure is above $most_exposure: $(grep '✗' <<< "$report")"
echo "ok exposure is $exposure, at most $most_exposure"

# The allow-list less what the unit takes from it again must leave io_uring's calls.
calls() { systemd-analyze --no-pager syscall-filter "$1" | sed 's/#.*//' | awk 'NF { print $1 }'; }
expand() { # names of groups -> system calls, groups in groups included
  local name
  for name in "$@"; do
    case $name in
      @*) expand $(calls "$name" | tail -n +2) ;;
      *) echo "$name" ;;
    esac
  done
}
allowed=" "
while read -r list; do
  case $list in
    "~"*) for call in $(expand ${list#"~"}); do allowed=${allowed// $call / }; done ;;
    *) allowed+="$(expand $list | sort -u | tr '\n' ' ')" ;;
  esac
done < <(sed -n 's/^SystemCallFilter=//p' "$unit")
for call in io_uring_setup io_uring_enter io_uring_register sendmmsg mlock futex clone3 sched_setaffinity; do
  [[ $allowed == *" $call "* ]] || fail "the unit's SystemCallFilter forbids $call"
done
[[ $allowed != *" ptrace "* && $allowed != *" setuid "* ]] || fail "the unit's SystemCallFilter allows too much"
echo "ok the system call filter lets io_uring through"
