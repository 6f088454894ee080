#!/usr/bin/env bash
# Generates otelbridge/proto from aibridged.proto; with --check only says whether it is up to date.
#
# grpcio-tools 1.64 writes code for protobuf 5.26: newer ones would force the
# newest protobuf on every user. It lives in an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv-proto
if [ ! -e "$venv/.done" ]; then
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/pip" --disable-pip-version-check --quiet install 'grpcio-tools==1.64.3' 'setuptools<81'
  touch "$venv/.done"
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$venv/bin/python" -W ignore -m grpc_tools.protoc -Iproto --python_out="$out" --pyi_out="$out" aibridged.proto
if [ "${1:-}" = --check ]; then
  diff -r "$out" otelbridge/proto --exclude __init__.py --exclude __pycache__ ||
    { echo "otelbridge/proto is not what proto/aibridged.proto generates: run 'make proto'" >&2; exit 1; }
else
  cp "$out"/aibridged_pb2.py "$out"/aibridged_pb2.pyi otelbridge/proto/
fi
