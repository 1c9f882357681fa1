"""The one chart engine, for SVG and PNG: a `canvas` of marks, the `scale` of values, `axes` with curves, `figures`."""
