#!/usr/bin/env bash
# Measures stacks of other libraries beside ours, in one run, and prints one
# table in markdown.
#
#   bench/peers/run.sh                          about two minutes
#   bench/peers/run.sh --time 3s --rounds 9     longer
#   bench/peers/run.sh --only 'book|ring'       a part
#   bench/peers/run.sh --data ../shared/data    and whole recorded sessions
set -euo pipefail
cd "$(dirname "$0")"
binary=$(mktemp)
trap 'rm -f "$binary"' EXIT
go build -o "$binary" .
"$binary" "$@"
