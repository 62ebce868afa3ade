"""The workloads in PyTorch, cases.py defines them. Variants: eager (default), fused (fused Adam), channels-last, compile
(forward, backward and update compiled, fused Adam)."""
import protocol

a = protocol.arguments()
import numpy as np
import torch
import torch.nn.functional as F
from cases import GPT, LSTM, STAGES
from torch import nn

if a.threads:
    torch.set_num_threads(a.threads)
PICTURES = a.workload in ("cnn", "resnet20")


class Flow:
    """Weights in Keras's order and layouts, handed out one by one."""

    def __init__(self, w):
        self.w = iter(w)

    def dense(self, layer, bias=True):
        layer.weight.data.copy_(next(self.w).T)
        if bias:
            layer.bias.data.copy_(next(self.w))

    def conv(self, layer, bias=False):
        layer.weight.data.copy_(next(self.w).permute(3, 2, 0, 1))
        if bias:
            layer.bias.data.copy_(next(self.w))

    def bn(self, layer):
        for to in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
            to.copy_(next(self.w))

    def vector(self, parameter):
        parameter.data.copy_(next(self.w))


class Mlp(nn.Module):
    def __init__(self, f):
        super().__init__()
        layers = []
        for n, m in zip(a.widths, a.widths[1:-1]):
            layers += [nn.Linear(n, m), nn.ReLU(), nn.BatchNorm1d(m, eps=1e-3, momentum=0.01)]
            f.dense(layers[-3]), f.bn(layers[-1])
        self.layers = nn.Sequential(*layers, nn.Linear(*a.widths[-2:]))
        f.dense(self.layers[-1])

    def forward(self, x):
        return self.layers(x)


def conv(n, m, k=3, s=1):
    return nn.Conv2d(n, m, k, s, k // 2, bias=False)


def bn(n):
    return nn.BatchNorm2d(n, eps=1e-3, momentum=0.01)


class Cnn(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.c1, self.c2, self.d1, self.d2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3), nn.Linear(1600, 128), nn.Linear(128, 10)
        f.conv(self.c1, True), f.conv(self.c2, True)
        k = next(f.w).reshape(5, 5, 64, 128).permute(2, 0, 1, 3).reshape(1600, 128)  # rows, columns, channels -> channels first
        self.d1.weight.data.copy_(k.T), f.vector(self.d1.bias), f.dense(self.d2)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        return self.d2(F.relu(self.d1(x.contiguous().flatten(1))))


class Same(nn.Module):
    """A convolution of stride 2 padded as TensorFlow does: one row and column at the end only."""

    def __init__(self, n, m, k):
        super().__init__()
        self.inner, self.pad = nn.Conv2d(n, m, k, 2, 0, bias=False), k > 1

    def forward(self, x):
        return self.inner(F.pad(x, (0, 1, 0, 1)) if self.pad else x)


class Block(nn.Module):
    def __init__(self, f, n, m, s):
        super().__init__()
        self.c1, self.b1, self.c2, self.b2 = Same(n, m, 3) if s == 2 else conv(n, m), bn(m), conv(m, m), bn(m)
        f.conv(self.c1.inner if s == 2 else self.c1), f.bn(self.b1), f.conv(self.c2), f.bn(self.b2)
        self.short = None
        if n != m:
            self.short, self.b3 = Same(n, m, 1), bn(m)
            f.conv(self.short.inner), f.bn(self.b3)

    def forward(self, x):
        h = self.b2(self.c2(F.relu(self.b1(self.c1(x)))))
        return F.relu(h + (self.b3(self.short(x)) if self.short else x))


class Resnet20(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.c, self.b = conv(3, 16), bn(16)
        f.conv(self.c), f.bn(self.b)
        blocks, n = [], 16
        for width, stride in STAGES:
            for block in range(3):
                blocks.append(Block(f, n, width, stride if block == 0 else 1))
                n = width
        self.blocks, self.d = nn.Sequential(*blocks), nn.Linear(64, 10)
        f.dense(self.d)

    def forward(self, x):
        return self.d(self.blocks(F.relu(self.b(self.c(x)))).mean((2, 3)))


class Layer(nn.Module):
    def __init__(self, f, d):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(d, eps=1e-5), nn.LayerNorm(d, eps=1e-5)
        self.qkv, self.out, self.up, self.down = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        f.vector(self.n1.weight), f.vector(self.n1.bias), f.dense(self.qkv), f.dense(self.out)
        f.vector(self.n2.weight), f.vector(self.n2.bias), f.dense(self.up), f.dense(self.down)

    def forward(self, x):
        B, T, d = x.shape
        q, k, v = (t.view(B, T, GPT["heads"], -1).transpose(1, 2) for t in self.qkv(self.n1(x)).split(d, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, d))
        return x + self.down(F.gelu(self.up(self.n2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, f):
        super().__init__()
        d = GPT["d"]
        self.letter, self.place = nn.Embedding(GPT["letters"], d), nn.Parameter(torch.zeros(GPT["tokens"], d))
        f.vector(self.letter.weight), f.vector(self.place)
        self.layers = nn.Sequential(*(Layer(f, d) for _ in range(GPT["layers"])))
        self.n, self.head = nn.LayerNorm(d, eps=1e-5), nn.Linear(d, GPT["letters"], bias=False)
        f.vector(self.n.weight), f.vector(self.n.bias), f.dense(self.head, False)

    def forward(self, x):
        return self.head(self.n(self.layers(self.letter(x) + self.place))).flatten(0, 1)


class Lstm(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.rnn, self.d = nn.LSTM(LSTM["inputs"], LSTM["hidden"], batch_first=True), nn.Linear(LSTM["hidden"], 10)
        self.rnn.weight_ih_l0.data.copy_(next(f.w).T), self.rnn.weight_hh_l0.data.copy_(next(f.w).T)
        f.vector(self.rnn.bias_ih_l0), f.dense(self.d)
        self.rnn.bias_hh_l0.data.zero_()
        self.rnn.bias_hh_l0.requires_grad_(False)  # two biases would move twice as fast as Keras's one

    def forward(self, x):
        return self.d(self.rnn(x)[0][:, -1])


NET = {"mlp": Mlp, "cnn": Cnn, "resnet20": Resnet20, "gpt": Gpt, "lstm": Lstm}[a.workload]


class Side:
    def info(self):
        how = {"": "eager", "fused": "eager, fused Adam", "channels-last": "eager, fused Adam, channels last",
               "compile": "step compiled, fused Adam"}[a.variant]
        return (f"torch {torch.__version__} {how}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, "
                f"oneDNN {'on' if torch.backends.mkldnn.is_available() else 'off'}")

    def load(self, path):
        with np.load(path) as z:
            w = [torch.from_numpy(p.copy()) for p in protocol.weights(z)]
            x, y = torch.from_numpy(z["x"].copy()), torch.from_numpy(z["y"].copy())
        x, y = (x.permute(0, 3, 1, 2).contiguous() if PICTURES else x), (y.long() if a.workload == "gpt" else y.argmax(-1))
        self.net = net = NET(Flow(w)).train()
        if a.variant == "channels-last" and PICTURES:
            net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
        x = x.long() if a.workload == "gpt" else x
        self.batches = [(x[i:i + a.batch].clone(memory_format=torch.preserve_format), y[i:i + a.batch].flatten().clone())
                        for i in range(0, len(x) - a.batch + 1, a.batch)]
        parameters = [p for p in net.parameters() if p.requires_grad]
        adam = torch.optim.Adam(parameters, lr=1e-3, eps=1e-7, fused=True if a.variant else None)

        def forward(x, y):
            z = net(x)
            hits = (z.argmax(-1) == y).float().mean() if a.workload == "mlp" else None
            return F.cross_entropy(z, y), hits

        def update():
            if a.workload == "mlp":
                g = [p.grad for p in parameters]
                norms = torch._foreach_norm(g)  # clipnorm 1, each by its own norm
                torch._foreach_clamp_min_(norms, 1.0)
                torch._foreach_div_(g, norms)
            adam.step()

        self.predict = lambda x: net(x).softmax(-1)
        if a.variant == "compile":
            forward, update, self.predict = torch.compile(forward), torch.compile(update), torch.compile(self.predict)

        def step(x, y):
            adam.zero_grad(set_to_none=True)
            loss, hits = forward(x, y)
            loss.backward()
            update()
            return loss.detach()
        self.step, self.at, self.adam = step, 0, adam

    def batch(self):
        self.at += 1
        return self.batches[(self.at - 1) % len(self.batches)]

    def loss(self):
        if a.variant != "compile":  # Keras adds epsilon to sqrt(v) before its correction; felt in the first steps only
            self.adam.param_groups[0]["eps"] = 1e-7 / (1 - 0.999 ** (self.at + 1)) ** 0.5
        loss = float(self.step(*self.batch()))
        self.adam.param_groups[0]["eps"] = 1e-7
        return loss

    def run(self, n):
        for _ in range(n):
            self.step(*self.batch())

    @torch.inference_mode()
    def output(self):
        self.net.eval()
        return self.predict(self.batches[0][0])

    @torch.inference_mode()
    def call(self, n):
        for _ in range(n):
            self.predict(self.batch()[0])


protocol.serve(Side())
