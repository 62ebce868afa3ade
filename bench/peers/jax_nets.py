"""The workloads in plain JAX: one jitted function a training step, state donated; one jitted function a prediction."""
import protocol

a = protocol.arguments()
import jax
import jax.numpy as jnp
import numpy as np
from cases import GPT, STAGES

HIDDEN = len(a.widths) - 2


def conv(x, k, padding="SAME", stride=1):
    return jax.lax.conv_general_dilated(x, k, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


class Norm:
    """Batch normalization; keeps the moved statistics."""

    def __init__(self, training):
        self.training, self.moved = training, []

    def __call__(self, x, gamma, beta, mean, var):
        if self.training:
            axes = tuple(range(x.ndim - 1))
            m, v = jnp.mean(x, axes), jnp.var(x, axes)
            self.moved += [mean * .99 + m * .01, var * .99 + v * .01]
        else:
            m, v = mean, var
        return (x - m) * (jax.lax.rsqrt(v + 1e-3) * gamma) + beta


def mlp(w, x, bn):
    for i in range(HIDDEN):
        k, b, *norm = w[6 * i:6 * i + 6]
        x = bn(jax.nn.relu(x @ k + b), *norm)
    return x @ w[-2] + w[-1]


def cnn(w, x, bn):
    x = pool(jax.nn.relu(conv(x, w[0], "VALID") + w[1]))
    x = pool(jax.nn.relu(conv(x, w[2], "VALID") + w[3]))
    x = jax.nn.relu(x.reshape(len(x), -1) @ w[4] + w[5])
    return x @ w[6] + w[7]


def resnet20(w, x, bn):
    at = iter(w)
    norm = lambda x: bn(x, next(at), next(at), next(at), next(at))
    x = jax.nn.relu(norm(conv(x, next(at))))
    n = 16
    for width, stride in STAGES:
        for block in range(3):
            s = stride if block == 0 else 1
            h = jax.nn.relu(norm(conv(x, next(at), stride=s)))
            h = norm(conv(h, next(at)))
            if n != width:
                x = norm(conv(x, next(at), stride=s))
            x, n = jax.nn.relu(x + h), width
    return jnp.mean(x, (1, 2)) @ next(at) + next(at)


def gpt(w, x, bn):
    at = iter(w)
    d, heads, T = GPT["d"], GPT["heads"], GPT["tokens"]

    def ln(x):
        m, v = jnp.mean(x, -1, keepdims=True), jnp.var(x, -1, keepdims=True)
        return (x - m) * jax.lax.rsqrt(v + 1e-5) * next(at) + next(at)
    x = next(at)[x] + next(at)
    mask = jnp.tril(jnp.ones((T, T), bool))
    for _ in range(GPT["layers"]):
        q, k, v = jnp.split(ln(x) @ next(at) + next(at), 3, -1)
        q, k, v = (t.reshape(-1, T, heads, d // heads) for t in (q, k, v))
        s = jnp.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(d // heads)
        s = jax.nn.softmax(jnp.where(mask, s, -jnp.inf))
        x = x + jnp.einsum("bhqk,bkhd->bqhd", s, v).reshape(x.shape) @ next(at) + next(at)
        x = x + jax.nn.gelu(ln(x) @ next(at) + next(at), approximate=True) @ next(at) + next(at)
    return ln(x) @ next(at)


def lstm(w, x, bn):
    h = jnp.zeros((x.shape[0], w[1].shape[0]), x.dtype)
    into = jnp.moveaxis(x, 1, 0) @ w[0] + w[2]

    def one(hc, z):
        i, f, g, o = jnp.split(z + hc[0] @ w[1], 4, -1)
        c = jax.nn.sigmoid(f) * hc[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None
    (h, _), _ = jax.lax.scan(one, (h, h), into)
    return h @ w[3] + w[4]


NET = {"mlp": mlp, "cnn": cnn, "resnet20": resnet20, "gpt": gpt, "lstm": lstm}[a.workload]


def moving_of(w):
    """Which weights are moving statistics: of the vectors that follow a kernel the last two of four (of five: a bias)."""
    if a.workload == "mlp":
        return [6 * i + j for i in range(HIDDEN) for j in (4, 5)]
    vectors = [i for i, p in enumerate(w[:-1]) if p.ndim == 1] if a.workload == "resnet20" else []
    return [i for k, i in enumerate(vectors) if k % 4 > 1]


def loss_of(train, moving, x, y):
    bn, w, rest = Norm(True), list(train), iter(moving)
    for i in side.moving:
        w.insert(i, next(rest))
    z = NET(w, x, bn)
    if a.workload == "gpt":
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[..., None], -1)), (bn.moved, 0)
    hits = jnp.mean(jnp.argmax(z, -1) == jnp.argmax(y, -1)) if a.workload == "mlp" else 0
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z), -1)), (bn.moved, hits)


def step(state, x, y):
    w, moving, m, v, t = state
    (loss, (moving, hits)), g = jax.value_and_grad(loss_of, has_aux=True)(w, moving, x, y)
    if a.workload == "mlp":
        g = [d / jnp.maximum(jnp.sqrt(jnp.sum(d * d)), 1.0) for d in g]  # clipnorm 1, each by its own norm
    t = t + 1
    rate = 1e-3 * jnp.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t)
    m = [p + (d - p) * (1 - 0.9) for p, d in zip(m, g)]
    v = [p + (d * d - p) * (1 - 0.999) for p, d in zip(v, g)]
    w = [p - rate * q / (jnp.sqrt(r) + 1e-7) for p, q, r in zip(w, m, v)]
    return (w, moving, m, v, t), loss, hits


class Side:
    def info(self):
        return f"jax {jax.__version__} (jaxlib {jax.lib.__version__}) one jitted step, state donated"

    def load(self, path):
        with np.load(path) as z:
            w = [jnp.asarray(p) for p in protocol.weights(z)]
            x, y = z["x"], z["y"]
        self.batches = [(jnp.asarray(x[i:i + a.batch]), jnp.asarray(y[i:i + a.batch]))
                        for i in range(0, len(x) - a.batch + 1, a.batch)]
        self.moving = moving_of(w)
        train = [p for i, p in enumerate(w) if i not in self.moving]
        self.step = jax.jit(step, donate_argnums=0)
        zeros = lambda: [jnp.zeros_like(p) for p in train]
        self.state, self.at = (train, [w[i] for i in self.moving], zeros(), zeros(), jnp.float32(0)), 0
        self.w = [p.copy() for p in w]  # the others are donated
        self.predict = jax.jit(lambda w, x: jax.nn.softmax(NET(w, x, Norm(False))))

    def batch(self):
        self.at += 1
        return self.batches[(self.at - 1) % len(self.batches)]

    def one(self):
        self.state, loss, hits = self.step(self.state, *self.batch())
        return loss, hits

    def loss(self):
        return float(self.one()[0])

    def run(self, n):
        for _ in range(n):
            last = self.one()
        jax.block_until_ready((last, self.state))

    def output(self):
        return self.predict(self.w, self.batches[0][0])

    def call(self, n):
        for _ in range(n):
            self.predict(self.w, self.batch()[0]).block_until_ready()


side = Side()
protocol.serve(side)
