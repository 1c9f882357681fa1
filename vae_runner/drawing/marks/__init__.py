"""The marks that every picture is made of, and what they become: an SVG, pixels, or a PDF."""
