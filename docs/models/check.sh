#!/usr/bin/env bash
# Checks the models in this folder with Spin, and that Spin finds each of the
# errors that can be built into them. Needs spin and gcc; installs nothing.
# Without spin it exits with 77 (skipped), or with 1 if REQUIRE_SPIN=1.
#
#   check.sh            everything, JOBS (2) at a time
#   check.sh PATTERN    the runs whose name matches; LONG=1 adds the long ones
#
# Prints a line a run: result, states stored, seconds of a core, name.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# want | name | model | variant (-D for spin) | property
#   want: ok = no error, and every statement was reached; ok- = not every
#   statement can be reached in this variant; else the error that must be found.
#   property: safety (assertions, deadlock), rest (no cycle without progress), or
#   the name of an LTL formula, under weak fairness.
runs='
ok|ring-4|ring||safety
ok|ring-8|ring|-DSIZE=8 -DTAGS=6 -DWHOLE|safety
ok|ring-8-drained|ring|-DSIZE=8 -DTAGS=6 -DWHOLE|drained
ok|ring-8-room|ring|-DSIZE=8 -DTAGS=6 -DWHOLE|room
assertion violated|ring-bug-publish-before-write|ring|-DBUG_PUBLISH|safety
invalid end state|ring-bug-full-without-publish|ring|-DBUG_FULL|safety
assertion violated|ring-bug-one-unit-too-many|ring|-DBUG_ROOM|safety
assertion violated|ring-bug-padding-forgotten|ring|-DBUG_LAP|safety
assertion violated|ring-bug-done-before-closed|ring|-DBUG_DONE|safety
assertion violated|ring-bug-release-before-read|ring|-DBUG_RELEASE|safety
assertion violated|ring-known-high-water|ring|-DHIGHWATER -DSIZE=2|safety
ok|park-2|park||safety
ok-|park-3|park|-DRINGS=3 -DCAP=1 -DTIMEOUTS=0|safety
ok|park-attach|park|-DATTACH|safety
ok|park-merge|park|-DMERGE|safety
ok|park-2-eaten|park||eaten
ok|park-2-ended|park||ended
ok|park-merge-ended|park|-DMERGE|ended
ok|park-2-rest|park||rest
assertion violated|park-bug-no-look-after-parked|park|-DBUG_RECHECK|safety
assertion violated|park-bug-look-before-parked|park|-DBUG_PARK|safety
assertion violated|park-bug-wake-before-publish|park|-DBUG_WAKE|safety
assertion violated|park-bug-token-without-room|park|-DBUG_TOKEN|safety
assertion violated|park-bug-token-drained|park|-DBUG_DRAIN|safety
non-progress cycle|park-bug-closed-counts|park|-DBUG_CLOSED|rest
ok|snapshot|snapshot|-DBARRIERS=3 -DKILLS=2|safety
ok|snapshot-power|snapshot|-DBARRIERS=3 -DKILLS=2 -DPOWER|safety
ok|snapshot-ends|snapshot||ends
ok|snapshot-commits|snapshot||commits
assertion violated|snapshot-bug-written-after-change|snapshot|-DBUG_LATE|safety
assertion violated|snapshot-bug-group-not-kept|snapshot|-DBUG_GROUP|safety
assertion violated|snapshot-bug-deadline-not-kept|snapshot|-DBUG_FIRE|safety
assertion violated|snapshot-bug-listed-later-is-in|snapshot|-DBUG_LISTED|safety
assertion violated|snapshot-bug-barriers-mixed|snapshot|-DBUG_OVERLAP|safety
assertion violated|snapshot-bug-place-of-the-batch|snapshot|-DBUG_PLACE|safety
assertion violated|snapshot-bug-log-for-the-newest-only|snapshot|-DBUG_KEEP -DLEN=6|safety
assertion violated|snapshot-bug-log-not-synced|snapshot|-DBUG_LOGSYNC -DPOWER|safety
acceptance cycle|snapshot-bug-none-when-idle|snapshot|-DBUG_IDLE|ends
ok|spool-records|spool|-DHALF=1 -DLEN=2 -DKILLS=2|safety
ok|spool-records-2-shards|spool|-DHALF=1 -DSHARDS=2 -DLEN=1 -DKILLS=1|safety
ok|spool-posts|spool|-DHALF=2 -DLEN=5 -DRECORDS=3 -DKILLS=3 -DFAULTS=3|safety
ok-|spool-whole|spool|-DLEN=1 -DKILLS=1|safety
assertion violated|spool-bug-rows-before-log|spool|-DBUG_LOG -DHALF=1 -DLEN=2|safety
assertion violated|spool-bug-mark-before-rows|spool|-DBUG_ORDER -DHALF=1 -DLEN=2|safety
assertion violated|spool-bug-mark-of-one-table|spool|-DBUG_MARKS -DHALF=1 -DLEN=2|safety
assertion violated|spool-bug-snapshot-without-checkpoint|spool|-DBUG_UNCOVERED -DHALF=1 -DLEN=2|safety
assertion violated|spool-bug-checkpoint-before-barrier|spool|-DBUG_COVERED -DHALF=1 -DLEN=2|safety
assertion violated|spool-bug-checkpoint-not-written|spool|-DBUG_UNWRITTEN -DHALF=1 -DLEN=2|safety
assertion violated|spool-bug-log-for-the-newest-only|spool|-DBUG_KEEP -DHALF=1 -DLEN=2|safety
assertion violated|spool-bug-ack-before-commit|spool|-DBUG_ACK -DHALF=2|safety
assertion violated|spool-bug-table-without-keys|spool|-DBUG_KEYS -DHALF=2|safety
assertion violated|spool-known-late-revision|spool|-DREVISIONS -DHALF=2|safety
ok|shm|shm|-DLAPS=4|safety
assertion violated|shm-bug-payload-before-writing|shm|-DBUG_WRITING|safety
assertion violated|shm-bug-mark-before-payload|shm|-DBUG_WHOLE|safety
assertion violated|shm-bug-first-slot-first|shm|-DBUG_FIRST|safety
assertion violated|shm-bug-second-look-early|shm|-DBUG_SECOND|safety
'
long='
ok|ring-8-long|ring|-DSIZE=8 -DTAGS=6|safety
ok|ring-4-drained-long|ring||drained
ok|ring-4-room-long|ring||room
ok|snapshot-long|snapshot|-DLEN=6 -DBARRIERS=3 -DKILLS=2 -DPOWER|safety
ok|spool-records-long|spool|-DHALF=1 -DLEN=3 -DKILLS=1|safety
'

# one checks a run in its own folder, and prints its line.
one() {
  local want name model variant property
  IFS='|' read -r want name model variant property <<<"$1"
  local dir=$work/$name optimise=-O1
  mkdir "$dir" && cd "$dir"
  # An error is found at once: the compiler's time counts more.
  [[ $want == ok* ]] || optimise=-O0
  local compile=(-DMEMLIM="$memory") search=(-m2000000 -w22)
  case $property in
    safety) compile+=(-DSAFETY -DNOCLAIM) ;;
    rest) compile+=(-DNP -DNOCLAIM) search+=(-l) ;;
    *) compile+=(-DNFAIR=3) search+=(-a -f -N "$property") ;;
  esac
  local states=- verdict=ok
  # shellcheck disable=SC2086 # variant is a list of words
  if ! spin -a $variant "$here/$model.pml" >out 2>&1 || ! gcc $optimise -w "${compile[@]}" -o pan pan.c >>out 2>&1; then
    verdict="does not compile"
  else
    timeout 900 ./pan "${search[@]}" >out 2>&1 || true
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' out)
    if [[ -z $states ]]; then
      verdict="did not end"
    elif [[ $want != ok* ]]; then
      grep -q "^pan:1: $want" out || verdict="did not find: $want"
    elif ! grep -q 'errors: 0$' out; then
      verdict="error: $(grep -m1 '^pan:1:' out)"
    elif grep -qE 'max search depth too small|not completed|MEMLIM|out of memory' out; then
      verdict="incomplete"
    elif unreached | grep -qE "$([[ $want == ok ]] && echo . || echo assert)"; then
      verdict="unreached: $(unreached | head -n 3 | tr '\n' ' ')"
    fi
  fi
  times >cpu # of this shell, then of what it started: user, system
  printf '%-6s %10s %6.1f s  %s\n' "$([[ $verdict == ok ]] && echo ok || echo FAILED)" "$states" \
    "$(awk -F'[ms ]+' 'NR == 2 {print 60 * ($1 + $3) + $2 + $4}' cpu)" "$name${variant:+  ($variant)}"
  [[ $verdict == ok ]] && return
  printf '       %s: %s\n' "$name" "$verdict"
  # The shortest way to the error is found with: pan -i, then spin -t -p.
  ls "$dir"/*.trail 2>/dev/null | sed 's/^/       trail: /' || true
  return 1
}

# unreached lists statements of the model that no run came to. The end of a
# process that never ends is none, nor are the formulas that were not asked.
unreached() { grep -E '\.pml:[0-9]+, state' out | grep -v '"-end-"' || true; }

if [[ ${1:-} == --one ]]; then
  one "$2"
  exit
fi

command -v gcc >/dev/null || { echo "docs/models: gcc is missing: install it" >&2; exit 1; }
if ! command -v spin >/dev/null; then
  echo "docs/models: spin is missing, so the models are not checked: apt-get install spin, or https://spinroot.com" >&2
  [[ ${REQUIRE_SPIN:-0} == 1 ]] && exit 1
  exit 77
fi

work=$(mktemp -d)
export work memory=900 # MB a run
jobs=${JOBS:-2}
if [[ ${LONG:-0} == 1 ]]; then
  runs+=$long
  memory=6000
fi
chosen=$(grep . <<<"$runs" | awk -F'|' -v p="${1:-.}" '$2 ~ p')
[[ -n $chosen ]] || { echo "docs/models: no run is called $1" >&2; exit 2; }
spin -V
if xargs -d '\n' -P "$jobs" -I{} "$here/check.sh" --one {} <<<"$chosen"; then
  rm -rf "$work"
  echo "all $(wc -l <<<"$chosen") runs as expected in $SECONDS s"
else
  echo "docs/models: not as expected; outputs and trails are in $work" >&2
  exit 1
fi
