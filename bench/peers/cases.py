"""The workloads: their first weights and a round of batches, and how many FLOPs the products of a step need.

Weights lie in the order in which Keras's get_weights() would give them, in Keras's layouts (kernels [in, out] and
[rows, columns, in, out]; batch normalization gamma, beta, moving mean, moving variance; LSTM gates i, f, c, o).

    mlp       --widths a,b,..,z: dense relu and batch normalization for each hidden width, dense; Adam, clipnorm 1
    cnn       conv 3x3x32 relu, max-pool 2, conv 3x3x64 relu, max-pool 2, dense 128 relu, dense 10; 28x28x1; Adam
    resnet20  conv 3x3x16, batch norm, relu; three stages (16, 32, 64) of three blocks, each conv, bn, relu, conv, bn, added
              to its input (first of stages 2 and 3: stride 2, the input through a 1x1 convolution and bn), relu; mean over
              the picture, dense 10; convolutions without bias, padding same; 32x32x3; Adam
    gpt       token and place embeddings; 4 layers of x + attention(ln(x)), x + mlp(ln(x)), mlp 4 d wide with tanh-gelu; ln,
              output without bias; d 128, 4 heads, 128 tokens, 65 letters, causal; epsilon 1e-5; Adam
    lstm      input 64, hidden 256, 64 steps, last state to dense 10; Adam
"""
import numpy as np

ROUND = {"mlp": 16, "cnn": 16, "resnet20": 5, "gpt": 5, "lstm": 10}  # batches; slow steps: few, or a block gets too long
BATCH = {"mlp": 128, "cnn": 128, "resnet20": 64, "gpt": 16, "lstm": 64}
GPT = dict(layers=4, d=128, heads=4, tokens=128, letters=65)
LSTM = dict(inputs=64, hidden=256, steps=64)
STAGES = [(16, 1), (32, 2), (64, 2)]


class Weights(list):
    def __init__(self, trained=False):
        """trained: normalizations as after some training, for predictions that show whether they are applied."""
        self.g, self.trained = np.random.default_rng(1234), trained

    def kernel(self, *shape):
        field = int(np.prod(shape[:-2]))
        limit = np.sqrt(6 / (field * (shape[-2] + shape[-1])))
        self.append(self.g.uniform(-limit, limit, shape))

    def full(self, value, *shape):
        self.append(np.full(shape, value))

    def dense(self, n_in, n_out):
        self.kernel(n_in, n_out)
        self.full(0, n_out)

    def bn(self, n, gamma=1):
        for value in (gamma, 0, 0, 1):
            self.append(self.g.uniform(.5 * value - .1, 1.5 * value + .1, n)) if self.trained else self.full(value, n)

    def ln(self, n):
        self.full(1, n)
        self.full(0, n)


def weights(workload, widths, trained=False):
    w = Weights(trained)
    if workload == "mlp":
        for k, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
            w.dense(n_in, n_out)
            if k < len(widths) - 2:
                w.bn(n_out)
    elif workload == "cnn":
        w.kernel(3, 3, 1, 32), w.full(0, 32)
        w.kernel(3, 3, 32, 64), w.full(0, 64)
        w.dense(1600, 128), w.dense(128, 10)
    elif workload == "resnet20":
        w.kernel(3, 3, 3, 16), w.bn(16)
        n = 16
        for width, stride in STAGES:
            for block in range(3):
                w.kernel(3, 3, n, width), w.bn(width)
                w.kernel(3, 3, width, width), w.bn(width, .25)  # at 1 five steps of Adam grow roundings to 1e-3
                if n != width:
                    w.kernel(1, 1, n, width), w.bn(width)
                n = width
        w.dense(64, 10)
    elif workload == "gpt":
        d = GPT["d"]
        w.append(w.g.normal(0, .02, (GPT["letters"], d))), w.append(w.g.normal(0, .02, (GPT["tokens"], d)))
        for _ in range(GPT["layers"]):
            w.ln(d), w.dense(d, 3 * d), w.dense(d, d), w.ln(d), w.dense(d, 4 * d), w.dense(4 * d, d)
        w.ln(d), w.kernel(d, GPT["letters"])
    elif workload == "lstm":
        i, h = LSTM["inputs"], LSTM["hidden"]
        w.kernel(i, 4 * h), w.kernel(h, 4 * h)
        w.append(np.concatenate([np.zeros(h), np.ones(h), np.zeros(2 * h)]))
        w.dense(h, 10)
    return [a.astype("float32") for a in w]


def rows(workload, widths, n):
    g = np.random.default_rng(4321)
    onehot = lambda k: np.eye(k, dtype="float32")[g.integers(0, k, n)]
    if workload == "mlp":  # like flattened digits: four fifths of the pixels 0
        return (g.random((n, widths[0])) * (g.random((n, widths[0])) < .2)).astype("float32"), onehot(widths[-1])
    if workload == "gpt":
        text = g.integers(0, GPT["letters"], (n, GPT["tokens"] + 1)) // g.integers(1, 5, (n, 1))
        return text[:, :-1].astype("int32"), text[:, 1:].astype("int32")
    shape = {"cnn": (28, 28, 1), "resnet20": (32, 32, 3), "lstm": (LSTM["steps"], LSTM["inputs"])}[workload]
    return g.standard_normal((n,) + shape).astype("float32"), onehot(10)


def write(path, workload, widths, batch, batches=None, trained=False):
    x, y = rows(workload, widths, (batches or ROUND[workload]) * batch)
    np.savez(path, x=x, y=y, **{f"w{i}": a for i, a in enumerate(weights(workload, widths, trained))})


def flops(workload, widths, batch, training=True):
    """Products of forward, and if training dW, and dX but for the first layer."""
    f = 3 if training else 1
    g = 2 if training else 1
    if workload == "mlp":
        products = [a * b for a, b in zip(widths, widths[1:])]
        return 2.0 * batch * (f * sum(products) - (f - g) * products[0])
    if workload == "cnn":
        first, rest = 26 * 26 * 9 * 32, 11 * 11 * 9 * 32 * 64 + 1600 * 128 + 1280
        return 2.0 * batch * (g * first + f * rest)
    if workload == "resnet20":
        first, rest, n, side = 32 * 32 * 27 * 16, 640, 16, 32
        for width, stride in STAGES:
            for block in range(3):
                side //= stride if block == 0 else 1
                rest += side * side * 9 * (n * width + width * width) + (side * side * n * width if n != width else 0)
                n = width
        return 2.0 * batch * (g * first + f * rest)
    if workload == "gpt":
        d, t = GPT["d"], GPT["tokens"]
        return 2.0 * f * batch * t * (GPT["layers"] * (12 * d * d + 2 * t * d) + d * GPT["letters"])
    i, h = LSTM["inputs"], LSTM["hidden"]
    return 2.0 * batch * (LSTM["steps"] * 4 * h * (g * i + f * h) + f * h * 10)
