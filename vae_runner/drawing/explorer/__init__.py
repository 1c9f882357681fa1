"""A page on which a decoder runs: one HTML file that loads nothing and asks nobody. `explorer_page` puts it together of
what `visualisation.exploring` knows, of the style sheet and of the scripts that lie beside it.
"""
