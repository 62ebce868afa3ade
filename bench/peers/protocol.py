"""The line protocol between bench/driver.py and a side (a peer's script or a Grape program).

A side is started with `--batch N --threads N` and options of its workload, and answers one line to each line it reads:

    info               info NAME VERSION SETTINGS...
    load FILE.npz      ok            w0.. initial weights in Keras's get_weights() order, x [n, ...], y [n, ...] one-hot;
                                     every batch is `batch` consecutive rows; optimizer state and step count start anew
    losses K           losses SECONDS L1 .. LK   trains on the first K batches, right after load; how long the first step
                                     took; each batch's own loss before its update
    steps N            time SECONDS      trains N steps, going round over the rows; the last one is finished
    output FILE.npy    ok            writes the predictions (probabilities) of the first batch
    calls N            time SECONDS      predicts N times, a batch a call, going round; each call's result is there
    peak               peak GFLOPS       FMA peak of the threads in use (Grape's programs only)
    quit               ends

Anything wrong is `error TEXT`, and the side ends.
"""
import argparse
import os
import sys
import time

import numpy as np


def arguments(**more):
    p = argparse.ArgumentParser()
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--widths", default="784,512,128,10")
    p.add_argument("--variant", default="")
    p.add_argument("--workload", default="mlp")
    a = p.parse_args()
    if a.threads and a.threads < len(os.sched_getaffinity(0)):  # a peer held to fewer cores: the only way all obey
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:a.threads])
    a.widths = [int(w) for w in a.widths.split(",")]
    return a


def weights(z):
    """The weights of a loaded npz, in order."""
    return [z[f"w{i}"] for i in range(len(z.files) - 2)]


def serve(side):
    """side has info(), load(path), loss() -> float, run(n), which trains n steps and waits for the last, and where it can
    predict output() -> array of the first batch and call(n)."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not get into the protocol
    for line in sys.stdin:
        word, *rest = line.split()
        try:
            if word == "info":
                answer = "info " + side.info()
            elif word == "load":
                side.load(rest[0])
                answer = "ok"
            elif word == "losses":
                start = time.perf_counter()
                losses = [side.loss()]
                seconds = time.perf_counter() - start
                losses += [side.loss() for _ in range(1, int(rest[0]))]
                answer = f"losses {seconds:.9f} " + " ".join(f"{v:.9g}" for v in losses)
            elif word in ("steps", "calls"):
                work = side.run if word == "steps" else side.call
                start = time.perf_counter()
                work(int(rest[0]))
                answer = f"time {time.perf_counter() - start:.9f}"
            elif word == "output":
                np.save(rest[0], np.asarray(side.output()))
                answer = "ok"
            elif word == "quit":
                break
            else:
                answer = f"error unknown command {word}"
        except Exception as e:  # the driver shows it
            print(f"error {type(e).__name__}: {e}".replace("\n", " "), file=out, flush=True)
            raise
        print(answer, file=out, flush=True)
