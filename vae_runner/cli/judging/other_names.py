"""What other programs call our settings and options, so that whoever comes from one is told the name here."""

import re
from collections.abc import Mapping

__all__ = ["OPTIONS", "SETTINGS", "option_here", "setting_here"]

SETTINGS: Mapping[str, str] = {  # by the last part of a dotted name, in small letters without _ and -
    **dict.fromkeys(("latentdim", "latentdims", "latentsize", "zdim", "zsize", "nlatents", "nz"), "distribution.dims"),
    **dict.fromkeys(("latents", "numlatents", "codesize", "bottleneck"), "distribution.dims"),
    **dict.fromkeys(("lr", "learningrate", "stepsize"), "optimizer.lr"),
    **dict.fromkeys(("epochs", "nepochs", "numepochs", "maxepochs"), "engine.epochs"),
    **dict.fromkeys(("steps", "maxsteps", "numsteps", "trainsteps", "iterations", "iters", "maxiter"), "engine.steps"),
    **dict.fromkeys(("batchsize", "bs", "batch", "minibatch"), "engine.batch_size"),
    **dict.fromkeys(("device", "gpu", "gpus", "cuda", "usecuda", "accelerator", "nocuda"), "engine.device"),
    **dict.fromkeys(("precision", "fp16", "bf16", "amp", "mixedprecision"), "engine.precision"),
    **dict.fromkeys(("threads", "numthreads", "numworkers", "workers"), "engine.threads"),
    **dict.fromkeys(("trials", "ntrials", "numtrials", "maxtrials"), "trials"),
    **dict.fromkeys(("jobs", "job", "njobs", "numjobs", "j", "parallel", "maxjobs"), "jobs"),
    **dict.fromkeys(("clip", "gradclip", "clipgrad", "gradientclipval", "maxgradnorm"), "engine.clip_norm"),
    **dict.fromkeys(("datadir", "datapath", "dataroot", "datasetpath", "root", "imagefolder"), "dataset.root"),
    **dict.fromkeys(("imagesize", "imgsize", "resolution"), "dataset.image_size"),
    **dict.fromkeys(("valsplit", "validationsplit", "valsize"), "dataset.validation"),
    **dict.fromkeys(("outputdir", "outdir", "savedir", "logdir", "resultsdir", "runname", "expname"), "hydra.run.dir"),
    **dict.fromkeys(("randomseed", "manualseed", "rngseed"), "seed"),
    **dict.fromkeys(("checkpoint", "ckpt", "ckptpath", "resumefrom", "resumefromcheckpoint"), "resume"),
    **dict.fromkeys(("weightdecay", "wd"), "optimizer.weight_decay"),
    **dict.fromkeys(("klweight", "kldweight", "betavae", "kweight"), "divergence.beta"),
    **dict.fromkeys(("loginterval", "logfreq", "logevery"), "engine.log_every"),
    **dict.fromkeys(("saveinterval", "saveevery", "checkpointinterval"), "engine.checkpoint_every"),
    **dict.fromkeys(("loggers", "tracker", "reportto"), "logger"),
    **{name: f"logger={name}" for name in ("wandb", "mlflow")},
    **dict.fromkeys(("tensorboard", "tb"), "logger=tensorboard"),
    **dict.fromkeys(("loss", "objective", "model", "vaetype", "modelname"), "divergence"),
    **dict.fromkeys(("reconloss", "recon", "recdist", "reconstructionloss", "decoderdist"), "likelihood"),
    **dict.fromkeys(("scheduler", "lrscheduler"), "lr_schedule"),
    **dict.fromkeys(("optim", "opt"), "optimizer"),
    **dict.fromkeys(("data", "datasetname"), "dataset"),
    **dict.fromkeys(("arch", "network", "backbone", "modeltype"), "architecture"),
    **dict.fromkeys(("config", "preset", "recipe"), "experiment"),
    **dict.fromkeys(("hiddendims", "hiddendim", "hiddensize", "hidden"), "architecture.encoder.hidden"),
}
OPTIONS: Mapping[str, Mapping[str, str]] = {  # by the group, then as the settings are: the option, with what it needs
    "likelihood": {
        **dict.fromkeys(("mse", "l2", "normal", "gauss"), "gaussian"),
        **dict.fromkeys(("bce", "binary", "crossentropy", "binarycrossentropy", "logits"), "bernoulli"),
        **dict.fromkeys(("l1", "mae"), "laplace"),
        **dict.fromkeys(("sigmavae", "optimalsigma"), "gaussian_optimal"),
        **dict.fromkeys(("logistic", "dmol", "discretizedlogistic"), "discretized_logistic"),
    },
    "divergence": {
        **dict.fromkeys(("tc", "btcvae", "betatcvae", "betatc", "tcvae"), "beta_tc"),
        **dict.fromkeys(("factorvae", "factorkl"), "factor"),
        **dict.fromkeys(("betavae", "betah", "bvae"), "beta"),
        **dict.fromkeys(("vae", "vanilla", "vanillavae", "elbo", "kld"), "kl"),
        **dict.fromkeys(("betab", "burgess", "cci", "annealedvae"), "capacity"),
        **dict.fromkeys(("dip", "dipvae", "dipvaeii"), "dip_ii"),
        **dict.fromkeys(("dipvaei",), "dip_i"),
        **dict.fromkeys(("infovae", "mmdvae"), "info"),
        **dict.fromkeys(("mmd", "waemmd"), "wae"),
        **dict.fromkeys(("controlvae", "pid"), "control"),
        **dict.fromkeys(("iwelbo", "importance"), "iwae"),
        **dict.fromkeys(("freebits", "freenats"), "free_bits"),
        **dict.fromkeys(("adavae", "adagvae", "weak"), "ada_gvae"),
        **dict.fromkeys(("annealed", "annealing", "warmup"), "beta_annealed"),
    },
    "distribution": {
        **dict.fromkeys(("gaussian", "gauss", "diagonal"), "normal"),
        **dict.fromkeys(("gumbel", "gumbelsoftmax", "concrete", "discrete", "onehot"), "categorical"),
        **dict.fromkeys(("jointvae",), "joint"),
    },
    "dataset": {
        **{
            name: f"torchvision dataset.name={name.upper()}"
            for name in ("mnist", "kmnist", "emnist", "cifar10", "svhn")
        },
        **dict.fromkeys(("fashionmnist", "fmnist"), "torchvision dataset.name=FashionMNIST"),
        **dict.fromkeys(("3dshapes", "shapes"), "shapes3d"),
        **dict.fromkeys(("images", "imagefolder", "photos"), "folder"),
        **dict.fromkeys(("celebahq",), "celeba_hq"),
    },
    "architecture": {
        **dict.fromkeys(("cnn", "convolutional", "burgess"), "conv"),
        **dict.fromkeys(("fc", "dense", "linear"), "mlp"),
        **dict.fromkeys(("resnet18", "residual"), "resnet"),
        **dict.fromkeys(("sbd", "spatialbroadcast", "monet"), "broadcast"),
    },
    "optimizer": dict.fromkeys(("adamax", "radam", "nadam", "sgd", "rmsprop"), "adam"),
    "lr_schedule": {
        **dict.fromkeys(("none", "off", "fixed"), "constant"),
        **dict.fromkeys(("cosineannealing", "cosineannealinglr", "onecycle"), "cosine"),
    },
}


def setting_here(name: str) -> str | None:
    """Returns what a setting of another program's, by that dotted name, is called here; None where it is not known."""
    return SETTINGS.get(_plain(re.split(r"[./]", name)[-1]))


def option_here(group: str, option: str) -> str | None:
    """Returns the option of the group that another program calls so, with the setting that it needs besides."""
    return OPTIONS.get(group, {}).get(_plain(option))


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())
