"""How the pictures look: their colours, and the sizes of letters and figures."""

from __future__ import annotations

#: The colours of Okabe and Ito that stand out from white (3:1 and more). Each always goes with a shape of its own.
BLUE, GREEN, RED, PURPLE = "#0072B2", "#009E73", "#D55E00", "#CC79A7"
INK, GREY, PALE = "#1b1b1b", "#595959", "#d0d0d0"

#: Sizes of letters, in points. A figure is shown at its own size, 96 pixels to the inch.
TITLE, TEXT, SMALL = 12.0, 9.5, 8.5
WIDTH = 8.6  # of a figure, in inches
