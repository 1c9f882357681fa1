"""The one chart engine: a `canvas` of marks, `axes` with curves, `clouds` of dots, and `kinds` of charts."""
