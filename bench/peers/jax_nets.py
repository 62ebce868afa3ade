"""Training steps of cnn, resnet20, gpt and lstm in plain JAX: one jitted function, state donated. cases.py defines them."""
import protocol

a = protocol.arguments()
import jax
import jax.numpy as jnp
import numpy as np
from cases import GPT, STAGES


def conv(x, k, padding="SAME", stride=1):
    return jax.lax.conv_general_dilated(x, k, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def entropy(z, y):
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z), -1))


def cnn(w, x, y):
    x = pool(jax.nn.relu(conv(x, w[0], "VALID") + w[1]))
    x = pool(jax.nn.relu(conv(x, w[2], "VALID") + w[3]))
    x = jax.nn.relu(x.reshape(len(x), -1) @ w[4] + w[5])
    return entropy(x @ w[6] + w[7], y), []


def resnet20(w, x, y):
    at, moved = iter(w), []

    def bn(x):
        gamma, beta, mean, var = next(at), next(at), next(at), next(at)
        m, v = jnp.mean(x, (0, 1, 2)), jnp.var(x, (0, 1, 2))
        moved.extend([mean * .99 + m * .01, var * .99 + v * .01])
        return (x - m) * (jax.lax.rsqrt(v + 1e-3) * gamma) + beta
    x = jax.nn.relu(bn(conv(x, next(at))))
    n = 16
    for width, stride in STAGES:
        for block in range(3):
            s = stride if block == 0 else 1
            h = jax.nn.relu(bn(conv(x, next(at), stride=s)))
            h = bn(conv(h, next(at)))
            if n != width:
                x = bn(conv(x, next(at), stride=s))
            x, n = jax.nn.relu(x + h), width
    return entropy(jnp.mean(x, (1, 2)) @ next(at) + next(at), y), moved


def gpt(w, x, y):
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
    z = jax.nn.log_softmax(ln(x) @ next(at))
    return -jnp.mean(jnp.take_along_axis(z, y[..., None], -1)), []


def lstm(w, x, y):
    h = jnp.zeros((x.shape[0], w[1].shape[0]), x.dtype)
    into = jnp.moveaxis(x, 1, 0) @ w[0] + w[2]

    def one(hc, z):
        i, f, g, o = jnp.split(z + hc[0] @ w[1], 4, -1)
        c = jax.nn.sigmoid(f) * hc[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None
    (h, _), _ = jax.lax.scan(one, (h, h), into)
    return entropy(h @ w[3] + w[4], y), []


NET = {"cnn": cnn, "resnet20": resnet20, "gpt": gpt, "lstm": lstm}[a.workload]


def step(state, x, y):
    w, m, v, t = state
    (loss, moved), g = jax.value_and_grad(NET, has_aux=True)(w, x, y)
    t = t + 1
    rate = 1e-3 * jnp.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t)
    m = [p + (d - p) * (1 - 0.9) for p, d in zip(m, g)]
    v = [p + (d * d - p) * (1 - 0.999) for p, d in zip(v, g)]
    new = [p - rate * q / (jnp.sqrt(r) + 1e-7) for p, q, r in zip(w, m, v)]
    for i, s in zip(side.moving, moved):
        new[i] = s
    return (new, m, v, t), loss


class Side:
    def info(self):
        return f"jax {jax.__version__} one jitted step, state donated"

    def load(self, path):
        with np.load(path) as z:
            w = [jnp.asarray(z[f"w{i}"]) for i in range(len(z.files) - 2)]
            x, y = z["x"], z["y"]
        self.batches = [(jnp.asarray(x[i:i + a.batch]), jnp.asarray(y[i:i + a.batch]))
                        for i in range(0, len(x) - a.batch + 1, a.batch)]
        # of resnet's vectors (but for the last, dense's bias) every third and fourth of four is a moving statistic
        vectors = [i for i, p in enumerate(w[:-1]) if p.ndim == 1] if a.workload == "resnet20" else []
        self.moving = [i for k, i in enumerate(vectors) if k % 4 > 1]
        self.step = jax.jit(step, donate_argnums=0)
        self.state = (w, [jnp.zeros_like(p) for p in w], [jnp.zeros_like(p) for p in w], jnp.float32(0))
        self.at = 0

    def one(self):
        x, y = self.batches[self.at % len(self.batches)]
        self.at += 1
        self.state, loss = self.step(self.state, x, y)
        return loss

    def loss(self):
        return float(self.one())

    def run(self, n):
        for _ in range(n):
            last = self.one()
        jax.block_until_ready((last, self.state))


side = Side()
protocol.serve(side)
