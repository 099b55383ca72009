#!/usr/bin/env bash
# Measures what other libraries do beside ours, and prints one table in markdown.
#
#   bench/peers/run.sh                          stacks of Go libraries on generated frames, by the
#                                               runner of bench, in turns with our lines; two minutes
#   bench/peers/run.sh --time 3s --rounds 9     longer
#   bench/peers/run.sh --only 'book|ring'       a part
#
#   bench/peers/run.sh --data ../shared/data    recorded sessions from memory, through those and the
#                                               libraries of other languages that bench/peers/install.sh
#                                               has installed
#   ROUNDS=3 PASSES=3 PEERS='barter tardis' bench/peers/run.sh --data ../shared/data
set -euo pipefail
rounds=${ROUNDS:-3} passes=${PASSES:-3} peers=${PEERS:-go barter tardis cryptofeed ccxt nautilus}
cache=${TICKPROC_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tickproc-peers}
data=
if [ "${1-}" = --data ]; then
  data=$(cd "${2:?a folder}" && pwd) # a relative one is the caller's
  [ $# = 2 ] || { echo "with --data there is nothing else; ROUNDS, PASSES and PEERS are taken from the environment" >&2; exit 2; }
fi
[ -z "${KEEP-}" ] || KEEP=$(realpath "$KEEP")
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
go build -o "$scratch/peers" .
if [ -z "$data" ]; then
  "$scratch/peers" "$@"
  exit
fi

# What each pass took is kept where KEEP names a file, behind what is in it.
lines=${KEEP:-$scratch/lines}
sessions='binance-spot binance-spot-btcusdt-20240808 BTCUSDT
binance-usdm binance-usdm-btcusdt-20240808 BTCUSDT
binance-coinm binance-coinm-btcusd_perp-20240808 BTCUSD_PERP'
while read -r venue file _; do
  gzip -dc "$data/captures/$file.gz" >"$scratch/$venue"
done <<<"$sessions"

# program PEER CAPTURE VENUE MARKET: runs it; where it is not installed, says so.
program() {
  local peer=$1
  shift
  case $peer in
    barter) set -- "$cache/barter/target/release/barter_peer" "$@" ;;
    tardis | ccxt) set -- node "$peer/peer.js" "$cache/$peer/node_modules" "$@" ;;
    cryptofeed | nautilus) set -- "$cache/$peer/bin/python" "$peer/peer.py" "$@" ;;
    *) echo "no peer $peer" >&2; exit 2 ;;
  esac
  "$@" "$passes"
}
installed() {
  case $1 in
    go) ;;
    barter) [ -x "$cache/barter/target/release/barter_peer" ] ;;
    tardis) [ -d "$cache/tardis/node_modules/tardis-dev" ] ;;
    ccxt) [ -d "$cache/ccxt/node_modules/ccxt" ] ;;
    *) [ -x "$cache/$1/bin/python" ] ;;
  esac
}
here=
for peer in $peers; do
  if installed "$peer"; then
    here+=" $peer"
  else
    echo "$peer is left out: bench/peers/install.sh $peer" >&2
  fi
done

# Round by round, so that what disturbs the machine for a while disturbs all.
for ((round = 1; round <= rounds; round++)); do
  stacks=false
  [[ " $here " != *" go "* ]] || stacks=true
  echo "round $round of $rounds: ours" >&2
  "$scratch/peers" --data "$data" --passes "$passes" --stacks=$stacks >>"$lines"
  for peer in $here; do
    [ "$peer" != go ] || continue # measured with ours
    echo "round $round of $rounds: $peer" >&2
    while read -r venue _ market; do
      program "$peer" "$scratch/$venue" "$venue" "$market" </dev/null >>"$lines" || echo "$peer failed on $venue" >&2
    done <<<"$sessions"
  done
done
"$scratch/peers" --beside <"$lines"
