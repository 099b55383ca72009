#!/usr/bin/env bash
# Runs the decoders' benchmarks of all venues beside their code, and prints the
# medians of each, beside encoding/json where the venue's benchmark has it.
#
#   bench/decoders.sh                       five runs of 300 ms
#   COUNT=9 BENCHTIME=1s bench/decoders.sh
set -euo pipefail
cd "$(dirname "$0")/.."
count=${COUNT:-5} benchtime=${BENCHTIME:-300ms}

echo "| benchmark | ns | allocs | MB/s |"
echo "|---|---:|---:|---:|"
for folder in feeds/*/; do
  venue=$(basename "$folder")
  grep -lq 'func BenchmarkDecode' "$folder"*_test.go 2>/dev/null || continue
  # A failure says why on stderr, and the other venues are measured all the same.
  go test -run '^$' -bench '^BenchmarkDecode' -benchtime "$benchtime" -count "$count" -benchmem "./$folder" |
    awk -v venue="$venue" '
      function median(unit,   k, a, b, x, v) {
        k = had[name, unit]
        if (k == 0) return ""
        for (a = 1; a <= k; a++) v[a] = values[name, unit, a]
        for (a = 2; a <= k; a++) { x = v[a]; for (b = a - 1; b > 0 && v[b] > x; b--) v[b + 1] = v[b]; v[b + 1] = x }
        return k % 2 ? v[(k + 1) / 2] : (v[k / 2] + v[k / 2 + 1]) / 2
      }
      /^Benchmark/ {
        sub(/^BenchmarkDecode/, "", $1); sub(/-[0-9]+$/, "", $1)
        if (!($1 in seen)) { seen[$1] = 1; names[++n] = $1 }
        for (i = 3; i < NF; i += 2) values[$1, $(i + 1), ++had[$1, $(i + 1)]] = $i
      }
      END {
        for (i = 1; i <= n; i++) {
          name = names[i]
          printf "| %s %s | %s | %s | %s |\n", venue, name, median("ns/op"), median("allocs/op"), median("MB/s")
        }
      }' || echo "| $venue | failed | | |"
done
