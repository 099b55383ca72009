#!/usr/bin/env bash
# Measures stacks of other libraries beside ours, in one run, and prints one
# table in markdown.
#
#   bench/peers/run.sh                          about two minutes
#   bench/peers/run.sh --time 3s --rounds 9     longer
#   bench/peers/run.sh --only 'book|ring'       a part
#   bench/peers/run.sh --data ../shared/data    and whole recorded sessions, with
#                                               cryptofeed where Python has it
set -euo pipefail
here=$(dirname "$0")
# A relative folder is the caller's.
arguments=()
data=
while [ $# -gt 0 ]; do
  if [ "$1" = --data ] && [ $# -gt 1 ]; then
    data=$(cd "$2" && pwd)
    arguments+=(--data "$data")
    shift 2
  else
    arguments+=("$1")
    shift
  fi
done
cd "$here"
binary=$(mktemp)
trap 'rm -f "$binary"' EXIT
go build -o "$binary" .
"$binary" ${arguments[@]+"${arguments[@]}"}

# The Python peer, where it can be had, on recorded sessions.
[ -n "$data" ] || exit 0
python=${PYTHON:-python3}
if "$python" -c 'import cryptofeed' 2>/dev/null; then
  "$python" cryptofeed_peer.py "$data"
else
  echo "cryptofeed is left out: $python -m pip install cryptofeed==2.4.1 (a virtual environment will do; PYTHON names its python)"
fi
