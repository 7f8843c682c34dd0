#!/usr/bin/env bash
# Checks and times masque on a machine with a GPU: bench/gpu_check.sh --help
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/gpu_check.py" "$@"
