"""The tutorial's training step in PyTorch. Variants: eager (default), fused (fused Adam), compile (forward, backward and
update compiled, fused Adam)."""
import protocol

a = protocol.arguments()
import numpy as np
import torch
from torch import nn

if a.threads:
    torch.set_num_threads(a.threads)
HIDDEN = len(a.widths) - 2


def network():
    layers = []
    for i in range(HIDDEN):
        layers += [nn.Linear(a.widths[i], a.widths[i + 1]), nn.ReLU(), nn.BatchNorm1d(a.widths[i + 1], eps=1e-3, momentum=0.01)]
    return nn.Sequential(*layers, nn.Linear(a.widths[-2], a.widths[-1]))


class Side:
    def info(self):
        how = {"": "eager", "fused": "eager, fused Adam", "compile": "step compiled, fused Adam"}[a.variant]
        return f"torch {torch.__version__} {how}, {torch.get_num_threads()} threads"

    def load(self, path):
        with np.load(path) as z:
            w = [torch.from_numpy(z[f"w{i}"].copy()) for i in range(6 * HIDDEN + 2)]
            x, y = torch.from_numpy(z["x"].copy()), torch.from_numpy(z["y"].argmax(-1).copy())
        rows = range(0, len(x) - a.batch + 1, a.batch)
        self.batches = [(x[i:i + a.batch].clone(), y[i:i + a.batch].clone()) for i in rows]
        self.net = net = network()
        with torch.no_grad():
            for i in range(HIDDEN):
                dense, norm = net[3 * i], net[3 * i + 2]
                dense.weight.copy_(w[6 * i].T)
                dense.bias.copy_(w[6 * i + 1])
                for to, one in zip((norm.weight, norm.bias, norm.running_mean, norm.running_var), w[6 * i + 2:6 * i + 6]):
                    to.copy_(one)
            net[-1].weight.copy_(w[-2].T)
            net[-1].bias.copy_(w[-1])
        net.train()
        parameters = list(net.parameters())
        adam = torch.optim.Adam(parameters, lr=1e-3, eps=1e-7, fused=True if a.variant else None)
        entropy = nn.CrossEntropyLoss()

        def forward(x, y):
            z = net(x)
            return entropy(z, y), (z.argmax(-1) == y).float().mean()

        def update():
            g = [p.grad for p in parameters]
            norms = torch._foreach_norm(g)  # clipnorm 1, each by its own norm
            torch._foreach_clamp_min_(norms, 1.0)
            torch._foreach_div_(g, norms)
            adam.step()

        if a.variant == "compile":
            forward, update = torch.compile(forward), torch.compile(update)

        def step(x, y):
            adam.zero_grad(set_to_none=True)
            loss, hits = forward(x, y)
            loss.backward()
            update()
            return loss.detach(), hits
        self.step, self.at, self.adam = step, 0, adam

    def one(self):
        x, y = self.batches[self.at % len(self.batches)]
        self.at += 1
        return self.step(x, y)

    def loss(self):
        if a.variant != "compile":  # Keras adds epsilon to sqrt(v) before its correction; felt in the first steps only
            self.adam.param_groups[0]["eps"] = 1e-7 / (1 - 0.999 ** (self.at + 1)) ** 0.5
        loss = float(self.one()[0])
        self.adam.param_groups[0]["eps"] = 1e-7
        return loss

    def run(self, n):
        for _ in range(n):
            self.one()


protocol.serve(Side())
