"""A search: a sweep whose jobs are chosen as it goes, by what the ones before have come to (`hydra/sweeper=optuna`).

`optuna_sweeper` is the option, `search_space` what is searched, `trials` the study that proposes values and is told
figures, `aim` what a search is by, `search` the loop.
"""
