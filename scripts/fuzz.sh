#!/usr/bin/env bash
# Fuzzes every target of the module (or of the packages named) for a bounded time
# each, two at a time:
#
#   FUZZTIME=10s scripts/fuzz.sh [./ocpi ./routing …]
#
# What a target fails on is left under testdata/fuzz of its package, where every
# `go test` tries it again. The exit code is 1 when any target fails.
set -euo pipefail

time=${FUZZTIME:-10s}
jobs=${FUZZJOBS:-2}
[ $# -gt 0 ] || set -- ./...

# Lines of a package and a target: go test -list prints a package's targets above
# its name. Only packages that have any are built.
targets() {
  local packages name tests="" line
  packages=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' "$@")
  packages=$(while read -r dir; do
    if grep -qs '^func Fuzz' "$dir"/*_test.go; then echo "$dir"; fi
  done <<<"$packages")
  [ -n "$packages" ] || return 0
  # shellcheck disable=SC2086 # a list
  go test -list '^Fuzz' $packages | while read -r line; do
    case $line in
      Fuzz*) tests+=" $line" ;;
      ok*)
        name=$(awk '{print $2}' <<<"$line")
        for target in $tests; do echo "$name $target"; done
        tests=""
        ;;
    esac
  done
}

fuzz() {
  local log
  log=$(mktemp -t busbar-fuzz.XXXXXX)
  if go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 5s -parallel 2 "$1" >"$log" 2>&1; then
    echo "ok   $1 $2"
  elif grep -qx '    context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
    # The end of the time met a worker at work (golang.org/issue/75804); nothing
    # has failed.
    echo "ok   $1 $2"
  else
    echo "FAIL $1 $2"
    cat "$log"
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}
export -f fuzz
export time

list=$(targets "$@")
[ -n "$list" ] || { echo "fuzz.sh: no targets" >&2; exit 1; }
# xargs answers 123 when a target has failed; the others are run all the same.
xargs -P "$jobs" -L 1 bash -c 'fuzz "$0" "$1"' <<<"$list"
