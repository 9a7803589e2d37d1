#!/usr/bin/env bash
# The gate: installs what the tests need, then checks and tests everything.
#   ./test.sh           sizes and counts that end within the half hour on two cores
#   ./test.sh --long    the full sizes and durations
set -euo pipefail
cd "$(dirname "$0")"

case "${1:-}" in
    "") ;;
    --long) export ATOLL_TEST_LONG=1 ;;
    *) echo "usage: ./test.sh [--long]" >&2; exit 2 ;;
esac

# A browser for the page's test; curl for the set-up link's.
need=()
command -v chromedriver >/dev/null || need+=(chromium-driver)
command -v chromium >/dev/null || need+=(chromium)
command -v curl >/dev/null || need+=(curl)
if ((${#need[@]})); then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq "${need[@]}" >/dev/null
fi

cargo fmt --check
cargo clippy --release --workspace --all-targets --quiet -- -D warnings
cargo build --release
# One test program after the other: those with real processes want the machine for themselves.
cargo test --release --workspace --no-fail-fast
