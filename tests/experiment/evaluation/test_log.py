import numpy as np

from experiment.evaluation.log import log_text


def test_the_post_s_format():
    text = log_text([16.7221, 9.8], np.array([0.9644923, 0.3, 1e-9]), np.array([1, 0, 0]))
    assert text.splitlines() == [
        "Current Iter:  0  current cost:  16.722",
        "Current Iter:  1  current cost:  9.800",
        "0  :  [[0.96]]  :  [[1.]]  :  [1]",
        "1  :  [[0.3]]  :  [[0.]]  :  [0]",
        "2  :  [[0.]]  :  [[0.]]  :  [0]",
    ]
