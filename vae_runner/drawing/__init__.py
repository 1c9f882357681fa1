"""Marks on paper: what a picture, a chart, a moving picture and a contact sheet look like, as bytes of a file.

Nothing here knows a model, a run or torch; `visualisation` and `report` say what is shown. `palette` has every colour,
`lettering` the font, `layout` the margins and gaps. `paint` puts tiles and texts at their places: for a `grid` of
images, the frames of a `movie` and a `sheet` of several runs alike. `marks` are what charts are made of and become,
`chart` is the engine that draws them, and two lay them out with it: `on_screen` as wide as what is shown, `printing` as
wide as the `paper`. The same content gives the same bytes.
"""
