"""The two activation functions and their derivatives, written by hand.

This is the post's "Reason 1: Mathematical Equation Implementation". Every function works
elementwise: it takes a tensor of any shape and floating type and returns one of the same.
"""

import tensorflow.compat.v1 as tf


def tf_tanh(x: tf.Tensor) -> tf.Tensor:
    """tanh(x): the activation of both time boxes."""
    return tf.tanh(x)


def d_tf_tanh(x: tf.Tensor) -> tf.Tensor:
    """1 − tanh²(x): the derivative of `tf_tanh` at x, the equation that the post shows."""
    return tf.subtract(tf.ones_like(x), tf.square(tf.tanh(x)))


def tf_logistic(x: tf.Tensor) -> tf.Tensor:
    """σ(x) = 1 / (1 + exp(−x)): the activation of the readout."""
    return tf.sigmoid(x)


def d_tf_logistic(x: tf.Tensor) -> tf.Tensor:
    """σ(x) (1 − σ(x)): the derivative of `tf_logistic` at x."""
    return tf.multiply(tf.sigmoid(x), tf.subtract(tf.ones_like(x), tf.sigmoid(x)))
