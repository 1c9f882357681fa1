"""The one chart engine: scales with round ticks, `axes` with curves, bars and strips, and `clouds` of colours.

It draws marks on a canvas and knows no margins: `on_screen` and `printing` lay whole charts out with it.
"""
