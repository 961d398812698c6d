"""A new task in one's own program: python examples/use_learner.py sinusoid.metanas"""

import sys

import numpy as np

import metanas

learner = metanas.load(sys.argv[1])  # runs no code from the file
x = np.array([-4.0, -2.0, 0.0, 1.0, 3.0])  # five labelled examples of a wave that it never saw
y = 2.0 * np.sin(x - 0.5)
model = learner.adapt(x, y)
for query in np.linspace(-5.0, 5.0, 11):
    (predicted,) = model.predict([query])
    print(f"{query:5.1f}  predicted {predicted:6.3f}  true {2.0 * np.sin(query - 0.5):6.3f}")
