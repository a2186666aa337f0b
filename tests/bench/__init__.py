# SPDX-License-Identifier: Apache-2.0
"""Measurements with targets. Each writes build/bench/NAME.json and prints what it found."""
