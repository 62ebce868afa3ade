#!/usr/bin/env python3
"""Fits the polynomials of ops/kernels/vmath.h and prints them as C.

Remez exchange in 60 digits, weighted so that the error of the *function*, not of the polynomial, is levelled; then the
coefficients are rounded to the target's precision one after the other, from the lowest, and the rest fitted again.
Needs Python and mpmath; building Grape does not need this program.  Run it: `python3 tools/polynomials.py`.
"""
import struct
from mpmath import mp, mpf, exp, log, tanh, erf, erfc, sin, cos, sqrt, pi, lu_solve, matrix

mp.dps = 60


def rounded(c, double):
    return mpf(float(c)) if double else mpf(struct.unpack("f", struct.pack("f", float(c)))[0])


def spelled(c, double):
    sign, rest = ("-", float(c).hex()[1:]) if c < 0 else ("", float(c).hex())
    digits, power = rest.split("p")
    return sign + digits.rstrip("0") + "p" + power + ("" if double else "f")


def remez(f, w, a, b, powers):
    """best sum of c[k] x^powers[k] for f on [a, b] where the error counts w(x) times"""
    n = len(powers)
    x = [(a + b) / 2 + (b - a) / 2 * cos(pi * i / n) for i in range(n, -1, -1)]
    for _ in range(12):
        system = matrix(n + 1, n + 1)
        right = matrix(n + 1, 1)
        for i, xi in enumerate(x):
            for k, p in enumerate(powers):
                system[i, k] = xi**p
            system[i, n] = (-1) ** i / w(xi)
            right[i] = f(xi)
        solved = lu_solve(system, right)
        c = [solved[k] for k in range(n)]

        def err(t):
            return w(t) * (f(t) - sum(ck * t**p for ck, p in zip(c, powers)))

        grid = [a + (b - a) * i / 600 for i in range(601)]
        e = [err(t) for t in grid]
        best = []  # the extreme of each run of equal sign
        for t, v in zip(grid, e):
            if best and (v > 0) == (best[-1][1] > 0):
                if abs(v) > abs(best[-1][1]):
                    best[-1] = (t, v)
            else:
                best.append((t, v))
        while len(best) > n + 1:
            best.pop(0 if abs(best[0][1]) < abs(best[-1][1]) else -1)
        if len(best) < n + 1:
            break
        x = [t for t, _ in best]
        top = max(abs(v) for _, v in best)
        if top < min(abs(v) for _, v in best) * mpf("1.01"):
            break
    return c, max(abs(v) for v in e)


def fit(name, f, w, a, b, degree, double=False, step=1):
    """f(x) = sum c[k] x^(k*step); prints the coefficients from the highest down and the error reached"""
    a, b = mpf(a), mpf(b)
    done, powers = [], [k * step for k in range(degree + 1)]
    while powers:
        c, _ = remez(lambda t: f(t) - sum(ck * t**p for ck, p in done), w, a, b, powers)
        done.append((rounded(c[0], double), powers.pop(0)))
    worst = max(abs(w(t) * (f(t) - sum(ck * t**p for ck, p in done)))
                for t in [a + (b - a) * i / 2000 for i in range(2001)])
    print("%-12s error %.3g (2^%.1f)" % (name, worst, log(worst, 2)))
    print("    " + ", ".join(spelled(ck, double) for ck, _ in reversed(done)))


tiny = mpf("1e-9")  # quotients are taken a little off zero
half_ln2 = log(2) / 2 * mpf("1.0005")

fit("exp", lambda r: (exp(r) - 1 - r) / r**2 if abs(r) > tiny else mpf(1) / 2, lambda r: r**2 / exp(r) + tiny**2,
    -half_ln2, half_ln2, 4)
fit("log", lambda f: (log(1 + f) - f + f**2 / 2) / f**3 if abs(f) > tiny else mpf(1) / 3,
    lambda f: abs(f**3 / log(1 + f)) + tiny if abs(f) > tiny else tiny, mpf(-1) / 3 - tiny, mpf(1) / 3, 8)
fit("tanh", lambda u: (tanh(sqrt(u)) / sqrt(u) - 1) / u if u > tiny else mpf(-1) / 3, lambda u: u + tiny, 0, 0.41, 4)
fit("erf small", lambda u: erf(sqrt(u)) / sqrt(u) - 1 if u > tiny else 2 / sqrt(pi) - 1, lambda u: 1, 0, 0.87, 5)
fit("erf large", lambda t: -log(erfc(t)), lambda t: erfc(t) / erf(t), 0.92, 4.05, 7)
fit("sin", lambda u: (sin(sqrt(u)) / sqrt(u) - 1) / u if u > tiny else mpf(-1) / 6, lambda u: u + tiny, 0, 0.6175, 3)
fit("cos", lambda u: (cos(sqrt(u)) - 1 + u / 2) / u**2 if u > tiny else mpf(1) / 24, lambda u: u**2 + tiny, 0, 0.6175, 2)
fit("pow log2", lambda u: 2 * (log((1 + sqrt(u)) / (1 - sqrt(u))) / 2 / sqrt(u) if u > tiny else mpf(1)) / log(2),
    lambda u: 1, 0, 0.02945, 5, double=True)
fit("pow exp2", lambda r: mpf(2) ** r, lambda r: mpf(2) ** -r, -0.5001, 0.5001, 7, double=True)
parts = []
for _ in range(3):
    parts.append(rounded(pi / 2 - sum(parts), False))
print("pi/2", ", ".join(spelled(p, False) for p in parts))
high = mpf(int(log(2) * 2**16)) / 2**16
print("ln2", spelled(high, False), spelled(rounded(log(2) - high, False), False))
