#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# C sources are formatted, shell scripts pass shellcheck.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror
git ls-files '*.sh' .ci/run | xargs shellcheck
