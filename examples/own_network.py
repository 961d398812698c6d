"""A network of your own: ``metanas search sinusoid --architecture nni:own_network:Waves`` in this folder."""

import nni  # outside of metanas, say nni.set_default_framework("none") before what follows
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableLinear, Repeat
from torch import nn


class Waves(ModelSpace):
    """One to three layers of one width, each with an activation of its own."""

    def __init__(self, input_shape=(1,)):
        super().__init__()
        width = nni.choice("width", [32, 64])
        self.first = nn.Sequential(MutableLinear(input_shape[0], width), nn.ReLU())
        self.more = Repeat(lambda i: nn.Sequential(MutableLinear(width, width), act(i)), (0, 2), label="more")
        self.head = MutableLinear(width, 1)  # metanas takes it off: the learning rule has its own

    def forward(self, x):
        return self.head(self.more(self.first(x)))


def act(i):
    return LayerChoice({"relu": nn.ReLU(), "tanh": nn.Tanh(), "silu": nn.SiLU()}, label=f"act_{i}")
