# SPDX-License-Identifier: BSD-3-Clause
"""The names of boundaries: how x goes on beyond its ends."""

BOUNDARIES = {
    "constant": "constant",
    "edge": "edge",
    "reflect": "reflect",
    "symmetric": "symmetric",
    "wrap": "wrap",
    "fill": "constant",  # scipy.signal's names
    "symm": "symmetric",
}
PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
