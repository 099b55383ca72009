#!/usr/bin/env bash
# Runs the benchmarks of the composed path and `tickproc replay --json` on the
# recorded sessions, prints the medians, and writes them with the machine's name
# to results/<date>-<machine>.md.
#
#   bench/run.sh              six runs of each benchmark, seven of each replay
#   COUNT=2 BENCHTIME=200ms REPLAYS=3 bench/run.sh
#   BENCH='Replay/(direct|plain)' bench/run.sh
set -euo pipefail
cd "$(dirname "$0")/.."
count=${COUNT:-6} benchtime=${BENCHTIME:-1s} replays=${REPLAYS:-7} pattern=${BENCH:-.}
data=${TICKPROC_DATA:-../shared/data}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# medians reads "name unit value" and prints one line a name: the medians of
# its units, in the order given.
medians() {
  awk -v units="$1" '
    { if (!($1 in seen)) { seen[$1] = 1; names[++n] = $1 }
      values[$1, $2, ++had[$1, $2]] = $3 }
    END {
      m = split(units, unit, " ")
      for (i = 1; i <= n; i++) {
        row = names[i]
        for (j = 1; j <= m; j++) {
          k = had[names[i], unit[j]]
          for (a = 1; a <= k; a++) v[a] = values[names[i], unit[j], a]
          for (a = 2; a <= k; a++) { x = v[a]; for (b = a - 1; b > 0 && v[b] > x; b--) v[b + 1] = v[b]; v[b + 1] = x }
          mid = k == 0 ? "" : (k % 2 ? v[(k + 1) / 2] : (v[k / 2] + v[k / 2 + 1]) / 2)
          row = row " " (mid == "" ? "-" : mid)
        }
        print row
      }
    }'
}

# table prints numbers as people read them.
table() {
  awk '
    function show(x) {
      if (x == "-") return ""
      if (x >= 100000) return sprintf("%dk", x / 1000 + 0.5)
      if (x >= 10000) return sprintf("%.1fk", x / 1000)
      if (x >= 100) return sprintf("%d", x + 0.5)
      if (x == 0) return "0"
      return x < 0.01 ? sprintf("%.4f", x) : sprintf("%.2f", x)
    }
    { row = "| " $1 " |"; for (i = 2; i <= NF; i++) row = row " " show($i) " |"; print row }'
}

case $(uname -s) in
Linux)
  cpu=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
  load() { cut -d' ' -f1-3 /proc/loadavg; }
  ;;
*)
  cpu=$(sysctl -n machdep.cpu.brand_string)
  load() { sysctl -n vm.loadavg | tr -d '{}'; }
  ;;
esac
cores=$(getconf _NPROCESSORS_ONLN)
commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain)" ] || commit="$commit, with changes"
machine=$(printf '%s-%sc-%s' "$(uname -m)" "$cores" "$cpu" | tr -cs 'A-Za-z0-9' '-' | tr 'A-Z' 'a-z' | sed -E 's/-(r|tm|cpu|processor|core)-/-/g; s/-(r|tm|cpu|processor)-?$//; s/-$//' | cut -c1-40)
before=$(load)

echo "benchmarks: $count runs of $benchtime each" >&2
go test -run '^$' -bench "$pattern" -benchtime "$benchtime" -count "$count" -timeout 2h ./bench | tee "$scratch/bench.txt" >&2
# Per frame, level or trade: the unit is in the figure's name.
awk '/^Benchmark/ {
  sub(/^Benchmark/, "", $1); sub(/-[0-9]+$/, "", $1)
  for (i = 3; i < NF; i += 2) {
    u = $(i + 1); if (u == "ns/op") continue
    sub(/\/(frame|level|trade)$/, "", u); sub(/^(frame|level|trade)s\/s$/, "per_second", u)
    print $1, u, $i
  }
}' "$scratch/bench.txt" | medians "ns cpu-ns per_second MB/s allocs" > "$scratch/medians.txt"

if [ -d "$data/captures" ] && [ "$replays" -gt 0 ]; then
  echo "replays: $replays of each session" >&2
  go build -o "$scratch/tickproc" ./cmd/tickproc
  for session in spot:binance-spot-btcusdt-20240808 usdm:binance-usdm-btcusdt-20240808 coinm:binance-coinm-btcusd_perp-20240808; do
    for _ in $(seq "$replays"); do
      "$scratch/tickproc" replay --json "$data/captures/${session#*:}.gz" | sed -E "s/.*\"frames_per_second\":([0-9.e+]+).*/${session%%:*} per_second \1/"
    done
  done | medians per_second > "$scratch/replays.txt"
fi

mkdir -p bench/results
out=bench/results/$(date +%Y-%m-%d)-$machine.md
{
  echo "# $(date +%Y-%m-%d), $cpu"
  echo
  echo "$cpu, $cores cores, $(uname -sr), $(go version | cut -d' ' -f3-), commit $commit."
  echo "Load before $before, after $(load): ${NOTE:-the machine was shared and noisy, so compare within this file, and cpu-ns before ns.}"
  echo "Medians of $count runs of $benchtime."
  if [ -f "$scratch/replays.txt" ]; then
    echo
    echo "## \`tickproc replay --json\`, frames/s, median of $replays"
    echo
    echo "Compressed file to final state, everything on. Peers, as published, measured elsewhere on similar machines."
    echo
    echo "| session | tickproc | Rust library, books only | plain Go stack | cryptofeed |"
    echo "|---|---:|---:|---:|---:|"
    table < "$scratch/replays.txt" | sed -E 's/^(\| spot .*)/\1 573k | 164k | 145k |/; s/^(\| usdm .*)/\1 270k | 145k | 115k |/; s/^(\| coinm .*)/\1 414k | 125k | 98k |/'
  fi
  echo
  echo "## Benchmarks"
  echo
  echo "Figures are of one frame; of one level in Book, of one trade in Bars."
  echo
  echo "| benchmark | ns | cpu-ns | per second | MB/s | allocations |"
  echo "|---|---:|---:|---:|---:|---:|"
  table < "$scratch/medians.txt"
  echo
  echo "## Against the plain Go stack of the same run"
  echo
  echo "| session | times as fast, direct | through a ring | processor time, direct |"
  echo "|---|---:|---:|---:|"
  awk '{ wall[$1] = $2; cpu[$1] = $3 }
    END { n = split("spot usdm coinm generated", s, " ")
      for (i = 1; i <= n; i++) { p = "Replay/plain/" s[i]; d = "Replay/direct/" s[i]; r = "Replay/ring/" s[i]
        if (p in wall && d in wall && r in wall) printf "| %s | %.1f | %.1f | 1/%.1f |\n", s[i], wall[p] / wall[d], wall[p] / wall[r], cpu[p] / cpu[d] } }' "$scratch/medians.txt"
} | tee "$out"
echo "written to $out" >&2
