"""The one chart engine, for SVG and PNG: a `canvas` of marks, `axes` with curves, and `kinds` of charts."""
