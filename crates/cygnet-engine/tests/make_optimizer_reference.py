"""Writes optimizer_reference.json: parameters after steps of optimisers of PyTorch and timm, and learning rates of their
schedulers, in float64.

Needs PyTorch 2 and timm 1. Settings have the names of `OptimizerConfig` and `Schedule`.
"""

import json
import pathlib

import torch
from timm.optim import RMSpropTF
from timm.scheduler import CosineLRScheduler, PolyLRScheduler, StepLRScheduler
from torch.optim import SGD, AdamW, lr_scheduler

START = [0.5, -1.25, 2.0]
STEPS = 8
GRADIENTS = [[((7 * step + 3 * i) % 11 - 5) / 4 for i in range(len(START))] for step in range(STEPS)]


def rounded(value):
    return float(f"{value:.10g}")


def optimizer(make, **settings):
    """Each step's rate is a tenth below the last one's."""
    w = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = make([w])
    rates, params = [], []
    for gradient in GRADIENTS:
        w.grad = torch.tensor(gradient, dtype=torch.float64)
        if settings["clip"]:
            torch.nn.utils.clip_grad_norm_([w], settings["clip"])
        rates.append(rounded(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        params.append([rounded(value) for value in w.tolist()])
        optimizer.param_groups[0]["lr"] *= 0.9
    return {"config": settings, "rates": rates, "params": params}


def sgd(momentum, nesterov, decay, clip=0.0):
    return optimizer(
        lambda w: SGD(w, lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=decay),
        kind="sgd", momentum=momentum, nesterov=nesterov, weight_decay=decay, clip=clip)


def adamw(betas, eps, decay):
    return optimizer(
        lambda w: AdamW(w, lr=0.01, betas=betas, eps=eps, weight_decay=decay),
        kind="adamw", beta1=betas[0], beta2=betas[1], eps=eps, weight_decay=decay, clip=0.0)


def rmsprop(momentum, rho, eps, decay):
    return optimizer(
        lambda w: RMSpropTF(w, lr=0.05, alpha=rho, eps=eps, momentum=momentum, weight_decay=decay),
        kind="rmsprop", momentum=momentum, rho=rho, eps=eps, weight_decay=decay, clip=0.0)


def rates(epochs, make, **settings):
    """Factors at the beginning of each epoch, of a scheduler of PyTorch or of timm."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    scheduler = make(optimizer)
    factors = []
    for epoch in range(epochs):
        if isinstance(scheduler, lr_scheduler.LRScheduler):
            factors.append(rounded(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            scheduler.step()
        else:
            scheduler.step(epoch)
            factors.append(rounded(optimizer.param_groups[0]["lr"]))
    return {"schedule": settings, "factors": factors}


def warm_up(optimizer):
    rise = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3)
    return lr_scheduler.SequentialLR(optimizer, [rise, lr_scheduler.CosineAnnealingLR(optimizer, 9, 0.05)], [3])


reference = {
    "start": START,
    "gradients": GRADIENTS,
    "optimizers": [
        sgd(0.0, False, 0.0), sgd(0.0, False, 0.05), sgd(0.9, False, 0.05), sgd(0.9, True, 0.05),
        sgd(0.9, True, 0.0, 1.0),
        adamw((0.9, 0.999), 1e-8, 0.05), adamw((0.8, 0.95), 1e-2, 0.0),
        rmsprop(0.9, 0.9, 1e-3, 0.05), rmsprop(0.9, 0.9, 1e-10, 0.0), rmsprop(0.0, 0.99, 1.0, 0.0),
    ],
    "schedules": [
        rates(12, lambda o: lr_scheduler.CosineAnnealingLR(o, 12, 0.01), kind="cosine", final=0.01),
        rates(12, warm_up, kind="cosine", warmup=3, warmup_start=0.1, final=0.05),
        rates(12, lambda o: CosineLRScheduler(o, 10, 0.02, warmup_t=2, warmup_lr_init=0.2, warmup_prefix=True),
              kind="cosine", warmup=2, warmup_start=0.2, final=0.02),
        rates(12, lambda o: lr_scheduler.StepLR(o, 3, 0.5), kind="step", every=3, gamma=0.5),
        rates(12, lambda o: StepLRScheduler(o, 2.4, 0.97, warmup_t=5, warmup_lr_init=0.0, warmup_prefix=False),
              kind="step", every=2.4, gamma=0.97, warmup=5),
        rates(12, lambda o: lr_scheduler.ExponentialLR(o, 0.9), kind="exponential", gamma=0.9),
        rates(12, lambda o: lr_scheduler.PolynomialLR(o, 12, 1.0), kind="polynomial"),
        rates(12, lambda o: lr_scheduler.PolynomialLR(o, 12, 2.0), kind="polynomial", power=2),
        rates(12, lambda o: PolyLRScheduler(o, 9, 0.5, 0.1, warmup_t=3, warmup_lr_init=0.1, warmup_prefix=True),
              kind="polynomial", power=0.5, final=0.1, warmup=3, warmup_start=0.1),
        # PyTorch has the peak in step 0.375 * 16 - 1 = 5 and the end in the last step, the 15th after the first.
        rates(16, lambda o: lr_scheduler.OneCycleLR(o, 1.0, 16, pct_start=0.375, div_factor=10, final_div_factor=50),
              kind="one_cycle", warmup_start=0.1, final=0.002, peak_at=5 / 15),
    ],
}
rows = {name: "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]" for name, rows in reference.items() if name != "start"}
parts = [f'"start": {json.dumps(START)}', *(f'"{name}": {value}' for name, value in rows.items())]
text = "{\n" + ",\n".join(parts) + "\n}\n"
pathlib.Path(__file__).with_name("optimizer_reference.json").write_text(text)
