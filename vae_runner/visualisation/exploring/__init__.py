"""What a page on which a decoder runs is made of: the decoder as a list of steps, its latents, and images' codes.

`recording` watches a decoder decode one code, `vocabulary` and the words beside it say what each thing that torch does
is in the page's language, and `program` holds the result. `moved_latents`, `code_mixture` and `page_content` say what
there is to be moved; `exploration` is the picture.
"""
