"""ONNX Runtime, for `predict` of mlp and cnn: the graph is written with the onnx helpers from the loaded weights."""
import protocol

a = protocol.arguments()
import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper


class Graph:
    """A chain of nodes; each takes the last one's result."""

    def __init__(self, w):
        self.w, self.nodes, self.constants, self.last = iter(w), [], [], "x"

    def add(self, op, *weights, **settings):
        names = []
        for array in weights:
            names.append(f"c{len(self.constants)}")
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), names[-1]))
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.last] + names, [out], **settings))
        self.last = out

    def dense(self):
        self.add("Gemm", next(self.w), next(self.w))

    def conv(self):
        self.add("Conv", next(self.w).transpose(3, 2, 0, 1), next(self.w))
        self.add("Relu")
        self.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])


def mlp(g):
    for _ in a.widths[1:-1]:
        g.dense()
        g.add("Relu")
        g.add("BatchNormalization", *(next(g.w) for _ in range(4)), epsilon=1e-3)
    g.dense()


def cnn(g):
    g.conv(), g.conv()
    g.add("Flatten")
    k = next(g.w).reshape(5, 5, 64, 128).transpose(2, 0, 1, 3).reshape(1600, 128)  # rows, columns, channels -> channels first
    g.add("Gemm", k, next(g.w))
    g.add("Relu")
    g.dense()


class Side:
    def info(self):
        return f"onnxruntime {onnxruntime.__version__} (onnx {onnx.__version__}), {a.threads or 'all'} threads, all optimizations"

    def load(self, path):
        with np.load(path) as z:
            w, x = protocol.weights(z), z["x"]
        x = x.transpose(0, 3, 1, 2) if a.workload == "cnn" else x
        self.batches = [np.ascontiguousarray(x[i:i + a.batch]) for i in range(0, len(x) - a.batch + 1, a.batch)]
        g = Graph(w)
        {"mlp": mlp, "cnn": cnn}[a.workload](g)
        g.add("Softmax", axis=-1)
        shape = lambda name, s: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, s)
        graph = helper.make_graph(g.nodes, a.workload, [shape("x", (a.batch,) + x.shape[1:])], [shape(g.last, (a.batch, len(w[-1])))],
                                  g.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.checker.check_model(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = a.threads
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.at = 0

    def output(self):
        return self.session.run(None, {"x": self.batches[0]})[0]

    def call(self, n):
        for _ in range(n):
            self.session.run(None, {"x": self.batches[self.at % len(self.batches)]})
            self.at += 1


protocol.serve(Side())
