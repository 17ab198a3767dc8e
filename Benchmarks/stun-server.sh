#!/bin/sh
# stun-server.sh [--smoke]: what a STUN answer costs, beside coturn.
#
# Mallocs of the whole server for N and for 2N answers: the difference has to be none. Then CPU time an answer, one core for
# the server and one for the loader, the two servers by turns, medians: with 16 clients that ask without end (the ratio has to be
# at most 0.60), and with a new client for every request (at most 0.35). Then 50,000 requests a second, of which none may get
# lost. --smoke takes fewer and shorter rounds, and only wants the ratios to be below 0.95: the machine may be busy.
# TRUNKLINE names another executable. Without coturn only our own figures are taken.
set -eu
cd "$(dirname "$0")"

rounds=9 answers=400000 clients=12800 seconds=10 flows_bound=0.60 new_bound=0.35
[ "${1:-}" != --smoke ] || {
  smoke=yes rounds=3 answers=60000 clients=6400 seconds=1 flows_bound=0.95 new_bound=0.95
}

ours=${TRUNKLINE:-${BENCHMARK_BINARY:+${BENCHMARK_BINARY%/*}/trunkline}}
[ -n "$ours" ] || ours=$PWD/../.build/release/trunkline
if [ ! -x "$ours" ] || ! "$ours" stun-server --help 2>/dev/null | grep -q -e --alternate; then
  echo "stun-server: not measured, $ours is not built or has no stun-server"
  exit 0
fi
mkdir -p .build
if [ ! -e .build/load ] || [ STUNLoad/load.c -nt .build/load ]; then cc -O2 -o .build/load STUNLoad/load.c; fi
if [ ! -e .build/malloc.so ] || [ MallocCount/malloc.c -nt .build/malloc.so ]; then
  cc -O2 -shared -fPIC -o .build/malloc.so MallocCount/malloc.c
fi

# One processor for the servers, another for the loader, where there are two.
processors=$(taskset -pc $$ | sed 's/.*: *//' | tr ',' '\n' | awk -F- '{ for (i = $1; i <= (NF > 1 ? $2 : $1); i++) print i }')
server_cpu=$(echo "$processors" | sed -n 1p)
load_cpu=$(echo "$processors" | sed -n '$p')
own_port=$((20000 + $$ % 10000)) coturn_port=$((30000 + $$ % 10000)) own= coturn=

end() {
  for pid in $own $coturn; do kill "$pid" 2>/dev/null || true; done
  own='' coturn=''
}
trap end EXIT
trap 'exit 130' INT TERM

# load MODE PORT PID ARGUMENTS…
load() { taskset -c "$load_cpu" .build/load "$@"; }

# answers PID PORT NAME: waits until it does.
await() {
  tries=0
  until load new "$2" "$1" 1 >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -ge 50 ] || ! kill -0 "$1" 2>/dev/null; then
      echo "stun-server: $3 does not answer" >&2
      cat .build/server.log >&2
      exit 1
    fi
    sleep 0.1
  done
}

# start_own WORDS…: ours on one processor, with WORDS before it.
start_own() {
  env "$@" taskset -c "$server_cpu" "$ours" stun-server --listen "127.0.0.1:$own_port" --rate 10000000 >.build/server.log 2>&1 &
  own=$!
  await "$own" "$own_port" trunkline
}

# mallocs COUNT: of a server that gives COUNT answers and ends.
mallocs() {
  start_own MALLOC_COUNT="$PWD/.build/mallocs" LD_PRELOAD="$PWD/.build/malloc.so"
  load flows "$own_port" "$own" 16 8 "$1" >.build/counted
  kill "$own"
  wait "$own" || true
  own=''
  echo "$(sed -n 's/^mallocs //p' .build/mallocs) $(cut -d' ' -f3 .build/counted)"
}
few=$(mallocs "$answers")
many=$(mallocs $((2 * answers)))
echo "$few $many" | awk '{
  cost = ($3 - $1) / ($4 - $2)
  printf "stun-server: %.4f mallocs an answer (%d with %d answers, %d with %d)\n", cost < 0 ? 0 : cost, $1, $2, $3, $4
  if (cost > 0.001) { print "stun-server: mallocs have to be none"; exit 1 }
}'

start_own
if command -v turnserver >/dev/null; then
  taskset -c "$server_cpu" turnserver -n -S -L 127.0.0.1 -p "$coturn_port" --no-tls --no-dtls --no-tcp --no-cli -m 1 \
    --no-stdout-log --log-file=/dev/null --pidfile="$PWD/.build/coturn.pid" --userdb="$PWD/.build/coturn.db" \
    >.build/server.log 2>&1 &
  coturn=$!
  await "$coturn" "$coturn_port" coturn
else
  echo "stun-server: no comparison, coturn is not installed"
fi

# median COLUMN FILE: the middle one of an odd number of lines.
median() { cut -d' ' -f"$1" "$2" | sort -g | sed -n "$(((rounds + 1) / 2))p"; }

# compare NAME BOUND MODE ARGUMENTS…: rounds by turns.
compare() {
  name=$1 bound=$2 mode=$3
  shift 3
  : >.build/own
  : >.build/coturn
  round=0
  while [ $round -lt $rounds ]; do
    load "$mode" "$own_port" "$own" "$@" >>.build/own
    [ -z "$coturn" ] || load "$mode" "$coturn_port" "$coturn" "$@" >>.build/coturn
    round=$((round + 1))
  done
  if [ -z "$coturn" ]; then
    echo "stun-server: $name: $(median 1 .build/own) µs of CPU an answer, $(median 4 .build/own) answers/s"
    return
  fi
  paste -d' ' .build/own .build/coturn | awk '{ print $1 / $5 }' >.build/ratio
  echo "$(median 1 .build/own) $(median 1 .build/coturn) $(median 1 .build/ratio) $(median 4 .build/own) \
    $(median 4 .build/coturn) $bound $rounds" | awk -v name="$name" '{
    printf "stun-server: %s: %.2f µs of CPU an answer, coturn %.2f µs; ratio %.2f; %d and %d answers/s (medians of %d rounds)\n",
      name, $1, $2, $3, $4, $5, $7
    if ($3 > $6) { printf "stun-server: the ratio has to be at most %s\n", $6; exit 1 }
  }'
}

compare "16 clients" $flows_bound flows 16 16 "$answers"
compare "each request from a new client" $new_bound new "$clients"

load rate "$own_port" "$own" 16 50000 $seconds | awk -v smoke="${smoke:-}" '{
  printf "stun-server: %d requests at 50,000 a second, %d not answered; %.2f µs of CPU an answer\n", $2, $2 - $3, $1
  if ($2 != $3 && !smoke) { print "stun-server: none may get lost"; exit 1 }
}'
