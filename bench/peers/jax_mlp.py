"""The tutorial's training step in plain JAX: one jitted function, state donated."""
import protocol

a = protocol.arguments()
import jax
import jax.numpy as jnp
import numpy as np

HIDDEN = len(a.widths) - 2


def forward(train, x):
    """train: kernel, bias, gamma, beta per hidden layer, then kernel, bias. Gives logits and the batch statistics."""
    stats = []
    for i in range(HIDDEN):
        k, b, gamma, beta = train[4 * i:4 * i + 4]
        x = jax.nn.relu(x @ k + b)
        m, v = jnp.mean(x, 0), jnp.var(x, 0)
        stats += [m, v]
        x = (x - m) * (jax.lax.rsqrt(v + 1e-3) * gamma) + beta
    return x @ train[-2] + train[-1], stats


def loss_of(train, x, y):
    z, stats = forward(train, x)
    loss = -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z), -1))
    hits = jnp.mean(jnp.argmax(z, -1) == jnp.argmax(y, -1))
    return loss, (stats, hits)


def step(state, x, y):
    train, moving, m, v, t = state
    (loss, (stats, hits)), g = jax.value_and_grad(loss_of, has_aux=True)(train, x, y)
    g = [d / jnp.maximum(jnp.sqrt(jnp.sum(d * d)), 1.0) for d in g]  # clipnorm 1, each by its own norm
    t = t + 1
    rate = 1e-3 * jnp.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t)
    m = [p + (d - p) * (1 - 0.9) for p, d in zip(m, g)]
    v = [p + (d * d - p) * (1 - 0.999) for p, d in zip(v, g)]
    train = [w - rate * p / (jnp.sqrt(q) + 1e-7) for w, p, q in zip(train, m, v)]
    moving = [p * 0.99 + s * (1 - 0.99) for p, s in zip(moving, stats)]
    return (train, moving, m, v, t), loss, hits


class Side:
    step = staticmethod(jax.jit(step, donate_argnums=0))

    def info(self):
        return f"jax {jax.__version__} one jitted step, state donated"

    def load(self, path):
        with np.load(path) as z:
            w = [jnp.asarray(z[f"w{i}"]) for i in range(6 * HIDDEN + 2)]
            x, y = z["x"], z["y"]
        rows = range(0, len(x) - a.batch + 1, a.batch)
        self.batches = [(jnp.asarray(x[i:i + a.batch]), jnp.asarray(y[i:i + a.batch])) for i in rows]
        train = [w[6 * i + j] for i in range(HIDDEN) for j in range(4)] + w[-2:]
        moving = [w[6 * i + j] for i in range(HIDDEN) for j in (4, 5)]
        zeros = lambda: [jnp.zeros_like(p) for p in train]
        self.state, self.at = (train, moving, zeros(), zeros(), jnp.float32(0)), 0

    def one(self):
        x, y = self.batches[self.at % len(self.batches)]
        self.at += 1
        self.state, loss, hits = self.step(self.state, x, y)
        return loss, hits

    def loss(self):
        return float(self.one()[0])

    def run(self, n):
        for _ in range(n):
            last = self.one()
        jax.block_until_ready((last, self.state))


protocol.serve(Side())
