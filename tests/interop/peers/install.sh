#!/usr/bin/env bash
# Install the real peers of the interop tests into .peers/bin: one line a peer.
#
# gateway, otelcol, jaeger, prometheus3 and dashboard-linter are built from the Go modules beside
# this file: their go.mod and go.sum pin every version, so nothing here may resolve one anew (no
# @latest, no go mod tidy).
# prometheus and promtool are Debian's: installed as root, else unpacked without being root.
# chromium is Debian's, too, and needs much else of it: it is installed as root or not at all.
# A peer whose tool is missing is skipped with its reason; a build that fails is an error.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
bin=$root/.peers/bin
go_needed=1.26

say() { printf '%-10s  %s\n' "$1" "$2"; }

# Why Go cannot be used here; empty if it can.
go_problem() {
  command -v go >/dev/null || { echo "Go is not installed (>= $go_needed is needed)"; return; }
  local version
  version=$(GOTOOLCHAIN=local go env GOVERSION)
  version=${version#go}
  [ "$(printf '%s\n' "$go_needed" "$version" | sort -V | head -n 1)" = "$go_needed" ] ||
    echo "Go $version is too old (>= $go_needed is needed)"
}

is_current() { # binary, directory of its module
  local source
  [ -x "$1" ] || return 1
  for source in "$2"/go.mod "$2"/go.sum "$2"/*.go; do
    [ ! -e "$source" ] || [ "$1" -nt "$source" ] || return 1
  done
}

# The steps below are called with `||`, where bash ignores `set -e`: hence the chains of `&&`.

go_build() { # name, package
  cd "$here/$1" &&
    CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off nice go build -mod=readonly -buildvcs=false \
      -trimpath -ldflags '-s -w' -o "$bin/$1.new" "$2" &&
    mv "$bin/$1.new" "$bin/$1"
}

install_go_peer() { # name, package, minutes with cold Go caches
  if is_current "$bin/$1" "$here/$1"; then say "$1" "up to date"; return; fi
  local problem
  problem=$(go_problem)
  if [ -n "$problem" ]; then say "$1" "SKIPPED: $problem"; return; fi
  printf '%-10s  building (about %s min with cold Go caches) ...' "$1" "$3"
  local log=$root/.peers/$1.log
  SECONDS=0
  (go_build "$1" "$2") >"$log" 2>&1 || { printf ' FAILED\n%s\n' "$(cat "$log")"; return 1; }
  echo " built in $SECONDS s"
}

has_prometheus() {
  local name
  for name in prometheus promtool; do
    [ -x "$bin/$name" ] || command -v "$name" >/dev/null || return 1
  done
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update && apt-get -qq install --no-install-recommends -y "${@:-prometheus}"
}

apt_unpack() { # the two programs need nothing else of the package
  local unpacked=$root/.peers/prometheus
  rm -rf "$unpacked" && mkdir -p "$unpacked" && cd "$unpacked" &&
    apt-get -qq download prometheus &&
    dpkg -x prometheus_*.deb . &&
    mv usr/bin/prometheus usr/bin/promtool "$bin/" &&
    rm -rf "$unpacked"
}

install_prometheus() {
  if has_prometheus; then say prometheus "up to date"; return; fi
  if ! command -v apt-get >/dev/null; then say prometheus "SKIPPED: apt-get is missing"; return; fi
  local how=apt_unpack log
  [ "$(id -u)" != 0 ] || how=apt_install
  printf '%-10s  %s ...' prometheus "${how/_/ }"
  log=$($how 2>&1) || { printf ' FAILED\n%s\n' "$log"; return 1; }
  echo " done"
}

install_chromium() {
  if command -v chromium >/dev/null; then say chromium "up to date"; return; fi
  if ! command -v apt-get >/dev/null; then say chromium "SKIPPED: apt-get is missing"; return; fi
  if [ "$(id -u)" != 0 ]; then say chromium "SKIPPED: only root can install it"; return; fi
  local log
  printf '%-10s  install ...' chromium
  log=$(apt_install chromium fonts-dejavu-core 2>&1) || { printf ' FAILED\n%s\n' "$log"; return 1; }
  echo " done"
}

mkdir -p "$bin"
install_prometheus
install_chromium
install_go_peer gateway . 1
install_go_peer otelcol . 2
install_go_peer jaeger github.com/jaegertracing/jaeger/cmd/jaeger 6
# Debian's takes no OTLP; without service discovery this one is half as large.
GOFLAGS=-tags=remove_all_sd install_go_peer prometheus3 \
  github.com/prometheus/prometheus/cmd/prometheus 2
install_go_peer dashboard-linter github.com/grafana/dashboard-linter 2
