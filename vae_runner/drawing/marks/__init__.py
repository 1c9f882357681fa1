"""The marks that every picture is made of, and what they become: pixels, or a PDF."""
