"""How fast training is on this machine: `vae-bench`, or `python -m vae_runner.bench`.

Three programs train the same model on the same images, each in a process of its own, and take turns of a second or so:

    bare     what one writes by hand: data in memory, forward, backward, Adam, nothing else; fp32, torch as it comes
    step     our step, on one batch over and over
    engine   the whole engine: the data set, shuffling, logs; validation, pictures (with the report) and checkpoints are
             timed apart, and shared out over the steps between two of them; what a thread of its own does for pictures
             counts as if it took the training's time, which it does on a machine without a core to spare

A machine's speed drifts, so a figure is a median over turns, and a ratio is the median of the ratios of neighbouring
turns. What is slow once, compiling and the first steps, is over before the first turn. A process's luck with its memory
lasts as long as the process, so all three are started several times.
"""
