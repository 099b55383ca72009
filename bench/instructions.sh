#!/usr/bin/env bash
# Counts the instructions of each stage on fixed frames, under callgrind, and
# prints one table in markdown: a figure that a busy machine does not change.
#
#   bench/instructions.sh                            one to two minutes
#   bench/instructions.sh --against main~20          beside an older commit, on the very same frames
#   bench/instructions.sh --only 'depth|recorded'    lines whose name matches
#   bench/instructions.sh --data ../shared/data      recorded sessions, too: some minutes
set -euo pipefail
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit "$1"; }
against='' only='' data=()
while [ $# -gt 0 ]; do
  case $1 in
    --against) against=${2:?a commit}; shift 2 ;;
    --only) only=${2:?a regular expression}; shift 2 ;;
    --data) data=(--data "$(cd "${2:?a folder}" && pwd)"); shift 2 ;;
    -h | --help) usage 0 ;;
    *) usage 2 >&2 ;;
  esac
done
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
  echo "instructions are counted by valgrind, which is missing: install the package \"valgrind\" (apt-get install valgrind, dnf install valgrind; https://valgrind.org)" >&2
  exit 3
fi

scratch=$(mktemp -d)
clean() {
  [ -n "$against" ] && git worktree remove --force "$scratch/then" 2>/dev/null
  rm -rf "$scratch"
}
trap clean EXIT
mkdir "$scratch/frames" "$scratch/now.out" "$scratch/then.out"

go run ./bench/instructions/frames ${data[@]+"${data[@]}"} "$scratch/frames"
go build -o "$scratch/now.count" ./bench/instructions
now=$(git rev-parse --short HEAD)
git diff --quiet HEAD -- '*.go' || now="$now and what is not committed"
if [ -n "$against" ]; then
  commit=$(git rev-parse --short --verify "$against^{commit}")
  git worktree add --quiet --detach "$scratch/then" "$commit"
  # What counts is of now, what is counted of then.
  rm -rf "$scratch/then/bench/instructions"
  mkdir -p "$scratch/then/bench/instructions"
  cp bench/instructions/*.go "$scratch/then/bench/instructions/"
  rm -f "$scratch"/then/bench/instructions/*_test.go
  build() { (cd "$scratch/then" && go build "$@" -o "$scratch/then.count" ./bench/instructions); }
  build 2>"$scratch/why" || build -tags older || {
    echo "$against cannot be compared: it lacks something that bench/instructions uses" >&2
    exit 1
  }
fi

# count BUILD: one line a stage, "name frames levels instructions".
count() {
  GODEBUG=asyncpreemptoff=1 valgrind --fair-sched=try --tool=callgrind --callgrind-out-file="$scratch/$1.out/at" --collect-atstart=no \
    --toggle-collect=main.counted --dump-after=main.measured \
    "$scratch/$1.count" --only "$only" "$scratch/frames" >"$scratch/$1.lines" 2>"$scratch/$1.log" || {
    tail -n 20 "$scratch/$1.log" >&2
    return 1
  }
  local n=0
  while read -r line; do
    n=$((n + 1))
    echo "$line $(sed -n 's/^totals: //p' "$scratch/$1.out/at.$n")"
  done <"$scratch/$1.lines" >"$scratch/$1.counts"
}
if [ -n "$against" ]; then
  count then &
  count now
  wait $!
else
  count now
  : >"$scratch/then.counts"
fi

echo "$(valgrind --version), $(go version | cut -d' ' -f3-), GOAMD64 $(go env GOAMD64); now: $now${against:+; then: $commit}"
echo
awk -v against="${commit-}" '
  old { then[$1] = $4; next }
  FNR == 1 {
    columns = against == "" ? "" : "---:|---:|"
    printf "| line | frames | levels a frame | instructions a frame |%s a level |\n", against == "" ? "" : " " against " | ratio |"
    printf "|---|---:|---:|---:|%s---:|\n", columns
  }
  {
    printf "| %s | %d | %s | %.1f |", $1, $2, $3 ? sprintf("%.1f", $3 / $2) : "", $4 / $2
    if (against != "" && $1 in then) printf " %.1f | %.3f |", then[$1] / $2, $4 / then[$1]
    else if (against != "") printf " | |"
    printf " %s |\n", $3 && $1 ~ /\/depth/ ? sprintf("%.1f", $4 / $3) : ""
  }' old=1 "$scratch/then.counts" old= "$scratch/now.counts"
