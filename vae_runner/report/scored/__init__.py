"""What a run has scored, on its page: `score_records` reads evaluation.json, `score_kinds` says what the scores are,
`heat_map` draws latents and factors, `score_sections` puts them together.
"""
