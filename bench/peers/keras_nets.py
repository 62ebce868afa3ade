"""The tutorial's training step as a Keras user has it: compile and fit, on JAX."""
import os

import protocol

a = protocol.arguments()
os.environ["KERAS_BACKEND"] = a.variant or "jax"
import keras
import numpy as np


class Side:
    def info(self):
        return f"keras {keras.version()} on {keras.backend.backend()}, fit without callbacks"

    def load(self, path):
        with np.load(path) as z:
            n = 6 * (len(a.widths) - 2) + 2
            self.w, self.x, self.y = [z[f"w{i}"] for i in range(n)], z["x"], z["y"]
        n = len(self.x) // a.batch * a.batch
        self.x, self.y = self.x[:n], self.y[:n]
        layers = [keras.layers.Input((a.widths[0],))]
        for units in a.widths[1:-1]:
            layers += [keras.layers.Dense(units, activation="relu"), keras.layers.BatchNormalization()]
        self.model = keras.Sequential(layers + [keras.layers.Dense(a.widths[-1], activation="softmax")])
        self.model.compile(optimizer=keras.optimizers.Adam(clipnorm=1.0), loss="categorical_crossentropy", metrics=["accuracy"])
        self.model.set_weights(self.w)
        self.at, self.long = 0, None

    def loss(self):
        i = self.at % (len(self.x) // a.batch) * a.batch
        self.at += 1
        self.model.reset_metrics()
        return float(self.model.train_on_batch(self.x[i:i + a.batch], self.y[i:i + a.batch], return_dict=True)["loss"])

    def run(self, n):
        rows = n * a.batch
        if self.long is None or len(self.long[0]) != rows:  # one epoch of n steps, as in a real fit; made in the warm-up
            times = -(-rows // len(self.x))
            self.long = np.tile(self.x, (times, 1))[:rows], np.tile(self.y, (times, 1))[:rows]
        self.model.fit(*self.long, batch_size=a.batch, epochs=1, shuffle=False, verbose=0)


protocol.serve(Side())
