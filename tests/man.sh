#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The manual pages are clean mdoc.
set -euo pipefail
cd "$(dirname "$0")/.."
mandoc -T lint -W warning deploy/man/*.[158]
