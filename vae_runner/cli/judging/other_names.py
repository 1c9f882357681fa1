"""What other programs call our settings and options, so that whoever comes from one is told what to type here.

A setting of theirs is one of ours, whose value may have another name here; a switch, which is on or off; or the choice
of an option, perhaps of one of several groups: `model` names a divergence, or an architecture.
"""

import re
from collections.abc import Callable, Mapping, Sequence

__all__ = ["CHOICES", "OFF", "OPTIONS", "SETTINGS", "SWITCHES", "VALUES", "option_here"]
__all__ += ["typed_here"]

# All are named by the last part of a dotted name, in small letters without _ and -.
SETTINGS: Mapping[str, str] = {  # ours, with what it needs besides
    **dict.fromkeys(("latentdim", "latentdims", "latentsize", "zdim", "zsize", "nz", "z"), "distribution.dims"),
    **dict.fromkeys(("latents", "nlatents", "numlatents", "codesize", "bottleneck"), "distribution.dims"),
    **dict.fromkeys(("lr", "learningrate", "stepsize"), "optimizer.lr"),
    **dict.fromkeys(("epochs", "e", "nepochs", "numepochs", "maxepochs"), "engine.epochs engine.steps=null"),
    **dict.fromkeys(("steps", "maxsteps", "numsteps", "trainsteps", "iterations", "iters", "maxiter"), "engine.steps"),
    **dict.fromkeys(("batchsize", "b", "bs", "batch", "minibatch"), "engine.batch_size"),
    **dict.fromkeys(("device", "gpu", "gpuid", "cudadevice", "accelerator"), "engine.device"),
    **dict.fromkeys(("precision", "dtype"), "engine.precision"),
    **dict.fromkeys(("threads", "numthreads", "numworkers", "workers"), "engine.threads"),
    **dict.fromkeys(("trials", "ntrials", "numtrials", "maxtrials"), "trials"),
    **dict.fromkeys(("jobs", "job", "njobs", "numjobs", "j", "parallel", "maxjobs"), "jobs"),
    **dict.fromkeys(("clip", "gradclip", "clipgrad", "gradientclipval", "maxgradnorm"), "engine.clip_norm"),
    **dict.fromkeys(("datadir", "datapath", "dataroot", "datasetpath", "root", "imagefolder"), "dataset.root"),
    **dict.fromkeys(("imagesize", "imgsize", "resolution"), "dataset.image_size"),
    **dict.fromkeys(("valsplit", "validationsplit", "valsize"), "dataset.validation"),
    **dict.fromkeys(("outputdir", "outdir", "savedir", "logdir", "resultsdir", "runname", "expname"), "hydra.run.dir"),
    **dict.fromkeys(("randomseed", "manualseed", "rngseed", "s"), "seed"),
    **dict.fromkeys(("checkpoint", "ckpt", "ckptpath", "resumefrom", "resumefromcheckpoint"), "resume"),
    **dict.fromkeys(("weightdecay", "wd"), "optimizer.weight_decay"),
    **dict.fromkeys(("capacity", "maxcapacity", "capacitymax", "cmax"), "divergence.capacity.end"),
    **dict.fromkeys(("klweight", "kldweight", "betavae", "kweight"), "divergence.beta"),
    "betahb": "divergence.beta divergence=beta",  # disentangling-vae's --betaH-B, --btcvae-B, --betaB-G, --betaB-finC
    "btcvaeb": "divergence.beta divergence=beta_tc",
    "betabg": "divergence.gamma divergence=capacity",
    "betabfinc": "divergence.capacity.end divergence=capacity",
    **dict.fromkeys(("loginterval", "logfreq", "logevery"), "engine.log_every"),
    **dict.fromkeys(("saveinterval", "saveevery", "checkpointinterval"), "engine.checkpoint_every"),
    **dict.fromkeys(("loggers", "tracker", "reportto"), "logger"),
    **dict.fromkeys(("hiddendims", "hiddendim", "hiddensize", "hidden", "hiddenunits"), "architecture.encoder.hidden"),
}
SWITCHES: Mapping[str, tuple[str, str]] = {  # what to type where it is on, and where it is off
    **{name: (f"logger={name}", "logger=[]") for name in ("wandb", "mlflow")},
    **dict.fromkeys(("tensorboard", "tb"), ("logger=tensorboard", "logger=[]")),
    **dict.fromkeys(("cuda", "usecuda", "usegpu", "gpus", "ngpus"), ("engine.device=cuda", "engine.device=cpu")),
    **dict.fromkeys(("nocuda", "cpu", "usecpu"), ("engine.device=cpu", "engine.device=auto")),
    **dict.fromkeys(
        ("fp16", "bf16", "amp", "mixedprecision", "half"), ("engine.precision=bf16", "engine.precision=fp32")
    ),
    **dict.fromkeys(("torchcompile", "jit"), ("engine.compile=true", "engine.compile=false")),
    **dict.fromkeys(("noprogress", "quiet"), ("engine.progress=false", "engine.progress=true")),
}
CHOICES: Mapping[str, Sequence[str]] = {  # of the first of these groups that has such an option
    **dict.fromkeys(("loss", "objective", "l"), ("divergence", "likelihood")),
    **dict.fromkeys(("model", "vaetype", "modelname", "modeltype"), ("divergence", "architecture", "distribution")),
    **dict.fromkeys(("reconloss", "recon", "recdist", "reconstructionloss", "decoderdist"), ("likelihood",)),
    **dict.fromkeys(("scheduler", "lrscheduler"), ("lr_schedule",)),
    **dict.fromkeys(("optim", "opt"), ("optimizer",)),
    **dict.fromkeys(("data", "datasetname", "d"), ("dataset",)),
    **dict.fromkeys(("arch", "network", "backbone", "encoder"), ("architecture",)),
    **dict.fromkeys(("config", "preset", "recipe"), ("experiment",)),
    **dict.fromkeys(("posterior", "latentdist", "latentdistribution"), ("distribution",)),
}
OFF = ("0", "false", "no", "none", "null", "off")
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
        **dict.fromkeys(("betavae", "betah", "bvae", "betavaeh"), "beta"),
        **dict.fromkeys(("vae", "vanilla", "vanillavae", "elbo", "kld"), "kl"),
        **dict.fromkeys(("betab", "betavaeb", "burgess", "cci", "annealedvae"), "capacity"),
        **dict.fromkeys(("dip", "dipvae", "dipvaeii"), "dip_ii"),
        **dict.fromkeys(("dipvaei",), "dip_i"),
        **dict.fromkeys(("infovae", "mmdvae"), "info"),
        **dict.fromkeys(("mmd", "waemmd"), "wae"),
        **dict.fromkeys(("ae", "autoencoder", "none"), "beta divergence.beta=0"),
        **dict.fromkeys(("controlvae", "pid"), "control"),
        **dict.fromkeys(("waevae", "wassersteinae", "wasserstein"), "wae"),
        **dict.fromkeys(("adamlvae", "mlvae"), "ada_ml_vae"),
        **dict.fromkeys(("gecovae",), "geco"),
        **dict.fromkeys(("iwelbo", "importance"), "iwae"),
        **dict.fromkeys(("freebits", "freenats"), "free_bits"),
        **dict.fromkeys(("adavae", "adagvae", "weak"), "ada_gvae"),
        **dict.fromkeys(("annealed", "annealing", "warmup"), "beta_annealed"),
    },
    "distribution": {
        **dict.fromkeys(("gaussian", "gauss", "diagonal"), "normal"),
        **dict.fromkeys(("gumbel", "gumbelsoftmax", "concrete", "discrete", "onehot"), "categorical"),
        **dict.fromkeys(("jointvae",), "joint"),
        **dict.fromkeys(("deterministic", "delta", "dirac", "point"), "normal divergence=wae"),  # whose noise vanishes
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


VALUES: Mapping[str, Mapping[str, str]] = {  # of our settings, what another program calls a value of theirs
    "engine.device": {**dict.fromkeys(("cpu", "auto"), ""), **dict.fromkeys(("mps", "tpu", "xpu"), "auto"), "": "cuda"},
    "engine.precision": {
        **dict.fromkeys(("fp32", "bf16", "auto"), ""),
        **dict.fromkeys(("32", "32true", "float32", "float", "full", "64", "float64"), "fp32"),
        "": "bf16",
    },
}
LISTS = ("architecture.encoder.hidden",)  # of which others name one number


def typed_here(name: str, value: str, options: Callable[[str], Sequence[str]]) -> str | None:
    """Returns what to type here for `name=value` of another program's, None where the name is not known; where no value
    is given, a switch is on. `options` are those of a group.

    Example:
        >>> typed_here("model.latent_dim", "5", list), typed_here("model", "betavae", list)
        ('distribution.dims=5', 'divergence=beta')
    """
    own = _plain(re.split(r"[./]", name)[-1])
    if own in SWITCHES:
        return SWITCHES[own][value.lower() in OFF]
    if own in CHOICES:
        return _chosen(CHOICES[own], value, options)
    if own not in SETTINGS:
        return None
    setting, *needed = SETTINGS[own].split(" ")
    return " ".join([f"{setting}={_value(setting, value) or 'VALUE'}", *needed])


def option_here(group: str, option: str) -> str | None:
    """Returns the option of the group that another program calls so, with the setting that it needs besides."""
    return OPTIONS.get(group, {}).get(_plain(option))


def _chosen(groups: Sequence[str], value: str, options: Callable[[str], Sequence[str]]) -> str:
    for group in groups:
        if (option := value if value in options(group) else option_here(group, value)) is not None:
            return f"{group}={option}"
    return f"{groups[0]}=OPTION"


def _value(setting: str, value: str) -> str:
    names = VALUES.get(setting)
    if names is not None and value:
        return names.get(_plain(value), names[""]) or value
    return f"[{value}]" if setting in LISTS and value and not value.startswith("[") else value


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())
