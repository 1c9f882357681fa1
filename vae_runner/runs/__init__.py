"""A run's folder, and a sweep's: what is in it, who may write there, and what it says; needs no torch.

The folder is all that training and reports share: the one writes files there, the other reads them, maybe on another
machine and years later.
"""
