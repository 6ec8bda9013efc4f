#!/usr/bin/env bash
# Runs a command beside a private Postgres and Redis, which it throws away
# afterwards:
#
#   scripts/services.sh go test -race ./storage/...
#
# The command finds them in BUSBAR_TEST_POSTGRES (a postgres:// URL of a server
# where it may create databases) and BUSBAR_TEST_REDIS (a redis:// URL). Its exit
# code is passed on. On Debian, missing servers (and the C compiler that go
# test -race needs) are installed with apt-get, as root or through sudo. As root, Postgres runs as the user postgres, since it
# refuses to run as root.
set -euo pipefail

fail() {
  echo "services.sh: $*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "neither root nor sudo: cannot install what is missing"
  fi
}

as_postgres() {
  # Away from the current directory, which that user may not be able to enter.
  if [ "$(id -u)" = 0 ]; then
    (cd "$dir" && exec runuser -u postgres -- "$@")
  else
    "$@"
  fi
}

# The newest installed Postgres; Debian keeps its programs off the PATH.
postgres_bin() {
  local newest
  newest=$(find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
  [ -n "$newest" ] || newest=$(command -v initdb || true)
  [ -n "$newest" ] && dirname "$newest"
}

install_missing() {
  local missing=()
  postgres_bin >/dev/null || missing+=(postgresql)
  command -v redis-server >/dev/null || missing+=(redis-server)
  # go test -race needs a C compiler.
  command -v "${CC:-gcc}" >/dev/null || missing+=(gcc libc6-dev)
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "please install: ${missing[*]}"
  echo "services.sh: installing ${missing[*]}" >&2
  # Without this the package starts a cluster of its own.
  as_root mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
  # A machine that has just begun may be updating itself, and mirrors fail at times.
  local apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  as_root "${apt[@]}" update >&2
  as_root env DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2
}

# A port that nobody listens on, from below the range that outgoing connections
# take theirs from.
free_port() {
  local port
  while :; do
    port=$(shuf -i 10000-32000 -n 1)
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# Starting is tried on several ports: another run may take one in between.
start_postgres() {
  as_postgres "$bin/initdb" -D "$dir/postgres" -U busbar -A trust --no-sync -E UTF8 --locale=C >"$dir/initdb.log" 2>&1 ||
    { cat "$dir/initdb.log" >&2; fail "initdb failed"; }
  local port
  for _ in 1 2 3 4 5; do
    port=$(free_port)
    # Durability is of no use to a database that lives for one test run.
    if as_postgres "$bin/pg_ctl" start -w -t 300 -s -D "$dir/postgres" -l "$dir/postgres.log" -o "-p $port -k '' \
        -c listen_addresses=127.0.0.1 -c max_connections=300 \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off" >/dev/null 2>&1; then
      export BUSBAR_TEST_POSTGRES="postgres://busbar@127.0.0.1:$port/postgres?sslmode=disable"
      return
    fi
  done
  cat "$dir/postgres.log" >&2
  fail "Postgres does not start"
}

start_redis() {
  local port
  for _ in 1 2 3 4 5; do
    port=$(free_port)
    : >"$dir/redis.log"
    redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$dir" >"$dir/redis.log" 2>&1 &
    redis=$!
    # Its own word, not an answering port, which may be another's.
    while kill -0 "$redis" 2>/dev/null; do
      if grep -qi 'ready to accept connections' "$dir/redis.log"; then
        export BUSBAR_TEST_REDIS="redis://127.0.0.1:$port"
        return
      fi
      sleep 0.05
    done
  done
  cat "$dir/redis.log" >&2
  fail "Redis does not start"
}

# Ends the command and what it started, the hard way after five seconds.
end_command() {
  kill -TERM -- "-$command" 2>/dev/null || return 0
  for _ in {1..50}; do
    kill -0 -- "-$command" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL -- "-$command" 2>/dev/null || true
}

cleanup() {
  trap '' INT TERM HUP
  [ -z "$command" ] || end_command
  [ -z "$redis" ] || kill "$redis" 2>/dev/null || true
  [ ! -e "$dir/postgres/postmaster.pid" ] ||
    as_postgres "$bin/pg_ctl" stop -m immediate -s -D "$dir/postgres" >/dev/null 2>&1 || true
  [ -z "$redis" ] || wait "$redis" 2>/dev/null || true
  rm -rf "$dir"
}

[ $# -gt 0 ] || fail "usage: services.sh COMMAND [ARGUMENT...]"
command='' redis=''
dir=$(mktemp -d -t busbar.XXXXXX)
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

install_missing
bin=$(postgres_bin)
[ "$(id -u)" != 0 ] || chown postgres "$dir"
start_postgres
start_redis

# In the background, because bash delays traps while a foreground command runs;
# in a process group of its own (set -m), to be ended whole. Its input stays the
# caller's.
set -m
"$@" <&0 &
command=$!
set +m
code=0
wait "$command" || code=$?
command=''
exit "$code"
