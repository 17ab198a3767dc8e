# Shared by the scripts of this directory: `. "$(dirname "$0")/lib.sh"`. Leaves the caller in the repository's root.
set -eu
cd "$(dirname "$0")/.."

# Times count from the first script of a chain, so that `make check` shows one clock.
TRUNKLINE_STARTED=${TRUNKLINE_STARTED:-$(date +%s)}
export TRUNKLINE_STARTED

# say TEXT: a progress line with the time since the start.
say() {
  elapsed=$(($(date +%s) - TRUNKLINE_STARTED))
  printf '[%02d:%02d] %s\n' $((elapsed / 60)) $((elapsed % 60)) "$*"
}

# as_root COMMAND…: as it stands for root, else through sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# can_be_root: whether as_root would work without asking for a password.
can_be_root() {
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null
}

# need_swift: a sentence instead of "not found", for a fresh machine.
need_swift() {
  command -v swift >/dev/null && return
  echo "There is no swift in the PATH: Trunkline is built with Swift 6.3, see https://www.swift.org/install/linux." >&2
  exit 69
}
