# SPDX-License-Identifier: Apache-2.0
"""A small Internet in network namespaces, to try Sluice on. See lab.py."""
