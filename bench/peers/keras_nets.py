"""The workloads as a Keras user has them, compile and fit; cases.py defines them. Variants: jax, tensorflow."""
import os

import protocol

a = protocol.arguments()
os.environ["KERAS_BACKEND"] = a.variant or "jax"
import keras
import numpy as np
from cases import GPT, LSTM, STAGES
from keras import layers

if a.variant == "tensorflow":
    import tensorflow
    tensorflow.config.threading.set_intra_op_parallelism_threads(a.threads)


class Chain:
    """Calls layers and hands them their weights, in the order of cases.py."""

    def __init__(self, w):
        self.w = iter(w)

    def __call__(self, layer, *x, **settings):
        y = layer(*x, **settings)
        layer.set_weights([next(self.w) for _ in layer.weights])
        return y


def mlp(f, x):
    for units in a.widths[1:-1]:
        x = f(layers.BatchNormalization(), f(layers.Dense(units, activation="relu"), x))
    return f(layers.Dense(a.widths[-1], activation="softmax"), x)


def cnn(f, x):
    for filters in (32, 64):
        x = layers.MaxPooling2D()(f(layers.Conv2D(filters, 3, activation="relu"), x))
    x = f(layers.Dense(128, activation="relu"), layers.Flatten()(x))
    return f(layers.Dense(10, activation="softmax"), x)


def resnet20(f, x):
    def norm(x, width, kernel, stride=1):
        x = f(layers.Conv2D(width, kernel, stride, padding="same", use_bias=False), x)
        return f(layers.BatchNormalization(), x)
    relu, n = layers.ReLU, 16
    x = relu()(norm(x, 16, 3))
    for width, stride in STAGES:
        for block in range(3):
            s = stride if block == 0 else 1
            h = norm(relu()(norm(x, width, 3, s)), width, 3)
            x = relu()(layers.Add()([h, x if n == width else norm(x, width, 1, s)]))
            n = width
    return f(layers.Dense(10, activation="softmax"), layers.GlobalAveragePooling2D()(x))


class Embedding(layers.Layer):
    """Letters and places. Under TensorFlow Keras's own Embedding squares a letter's gradients one by one, not their sum."""

    def build(self, shape):
        self.letter = self.add_weight(shape=(GPT["letters"], GPT["d"]))
        self.place = self.add_weight(shape=(GPT["tokens"], GPT["d"]))

    def call(self, x):
        return keras.ops.take(self.letter * 1.0, x, axis=0) + self.place

    def compute_output_shape(self, shape):
        return shape + (GPT["d"],)


def attention(f, x):
    d, heads = GPT["d"], GPT["heads"]
    layer = layers.MultiHeadAttention(heads, d // heads)
    y = layer(x, x, use_causal_mask=True)
    kernel, bias, out, out_bias = (next(f.w) for _ in range(4))
    parts = [(k.reshape(d, heads, -1), b.reshape(heads, -1)) for k, b in zip(np.split(kernel, 3, 1), np.split(bias, 3))]
    layer.set_weights([p for pair in parts for p in pair] + [out.reshape(heads, -1, d), out_bias])
    return y


def gpt(f, x):
    d = GPT["d"]
    gelu = lambda x: keras.activations.gelu(x, approximate=True)
    norm = lambda x: f(layers.LayerNormalization(epsilon=1e-5), x)
    x = f(Embedding(), x)
    for _ in range(GPT["layers"]):
        x = x + attention(f, norm(x))
        x = x + f(layers.Dense(d), f(layers.Dense(4 * d, activation=gelu), norm(x)))
    return f(layers.Dense(GPT["letters"], use_bias=False), norm(x))


def lstm(f, x):
    return f(layers.Dense(10, activation="softmax"), f(layers.LSTM(LSTM["hidden"]), x))


NET = {"mlp": mlp, "cnn": cnn, "resnet20": resnet20, "gpt": gpt, "lstm": lstm}[a.workload]


class Side:
    def info(self):
        backend = keras.backend.backend()
        version = __import__(backend).__version__
        return f"keras {keras.version()} on {backend} {version}, fit without callbacks"

    def load(self, path):
        with np.load(path) as z:
            w, x, y = protocol.weights(z), z["x"], z["y"]
        n = len(x) // a.batch * a.batch
        self.x, self.y = x[:n], y[:n]
        start = keras.Input(x.shape[1:], dtype="int32" if a.workload == "gpt" else "float32")
        self.model = keras.Model(start, NET(Chain(w), start))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if a.workload == "gpt" else "categorical_crossentropy"
        of_mlp = dict(metrics=["accuracy"]) if a.workload == "mlp" else {}
        self.model.compile(keras.optimizers.Adam(clipnorm=1.0 if a.workload == "mlp" else None), loss, **of_mlp)
        self.at, self.long = 0, None

    def rows(self):
        self.at += 1
        i = (self.at - 1) % (len(self.x) // a.batch) * a.batch
        return slice(i, i + a.batch)

    def loss(self):
        i = self.rows()
        self.model.reset_metrics()
        return float(self.model.train_on_batch(self.x[i], self.y[i], return_dict=True)["loss"])

    def run(self, n):
        rows = n * a.batch
        if self.long is None or len(self.long[0]) != rows:  # one epoch of n steps, as in a real fit; made in the warm-up
            again = lambda array: np.concatenate([array] * -(-rows // len(array)))[:rows]
            self.long = again(self.x), again(self.y)
        self.model.fit(*self.long, batch_size=a.batch, epochs=1, shuffle=False, verbose=0)

    def output(self):
        return self.model.predict_on_batch(self.x[:a.batch])

    def call(self, n):
        for _ in range(n):
            self.model.predict_on_batch(self.x[self.rows()])


protocol.serve(Side())
