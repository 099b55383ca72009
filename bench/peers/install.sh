#!/usr/bin/env bash
# Installs the libraries of other languages that bench/peers/run.sh --data
# measures, at pinned versions, into a folder outside the tree. What cannot be
# had is left out, and said; nothing is removed.
#
#   bench/peers/install.sh                 all
#   bench/peers/install.sh cryptofeed      some of: barter tardis ccxt cryptofeed nautilus
#
# TICKPROC_PEERS is the folder, default ~/.cache/tickproc-peers; PYTHON a Python
# to take where there are several.
set -uo pipefail
cd "$(dirname "$0")"
cache=${TICKPROC_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tickproc-peers}
mkdir -p "$cache"
failed=0
missing() { echo "$1 is not installed: $2" >&2; failed=1; }

# python 13: one that is at least 3.13: $PYTHON, else of the path or of pyenv.
python() {
  for name in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3 "$HOME"/.pyenv/versions/3.1[3-9]*/bin/python3 "$HOME"/.pyenv/versions/3.12*/bin/python3; do
    "$name" -c "import sys; sys.exit(sys.version_info < (3, $1))" 2>/dev/null && { command -v "$name"; return; }
  done
  return 1
}

venv() { # name, the least Python 3.x
  local base
  base=$(python "$2") || { missing "$1" "it needs Python 3.$2 or newer; PYTHON names one"; return; }
  [ -x "$cache/$1/bin/python" ] || "$base" -m venv "$cache/$1" || { missing "$1" "$base makes no virtual environment (Debian: the package python3-venv)"; return; }
  # From source some of these build for longer than one waits.
  "$cache/$1/bin/pip" install --quiet --prefer-binary -r "$1/requirements.txt" || missing "$1" "see pip above"
}

node_modules() {
  command -v npm >/dev/null || { missing "$1" "it needs node and npm"; return; }
  mkdir -p "$cache/$1"
  cp "$1/package.json" "$1/package-lock.json" "$cache/$1/"
  (cd "$cache/$1" && npm ci --ignore-scripts --no-audit --no-fund) || missing "$1" "see npm above"
}

barter() {
  command -v cargo >/dev/null || { missing barter "it needs Rust's cargo"; return; }
  # Its own copy, so that no lock file comes into the tree.
  rm -rf "$cache/barter/source"
  mkdir -p "$cache/barter/source"
  cp -r barter/Cargo.toml barter/src "$cache/barter/source/"
  (cd "$cache/barter/source" && CARGO_TARGET_DIR=$cache/barter/target cargo build --quiet --release) || missing barter "see cargo above"
}

[ $# -gt 0 ] || set -- barter tardis ccxt cryptofeed nautilus
for name; do
  case $name in
    barter) barter ;;
    tardis | ccxt) node_modules "$name" ;;
    cryptofeed) venv cryptofeed 13 ;;
    nautilus) venv nautilus 12 ;;
    *) missing "$name" "no such peer" ;;
  esac
done
exit $failed
